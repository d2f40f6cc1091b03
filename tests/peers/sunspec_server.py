"""A SunSpec device as pysunspec2 encodes it, served by pymodbus.

sunspec_server.py BASE MODEL VALUES

VALUES is a JSON object of points of the model and what they show, scale factors included. Prints `ready`, the port and, as JSON, what
pysunspec2 itself makes of every point; ends when its standard input does.
"""

import asyncio
import json
import struct
import sys

import sunspec2.device as device
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

UNIT = 1
MARKER = [0x5375, 0x6E53]
END = [0xFFFF, 0]


def words(model):
    data = model.get_mb()
    return list(struct.unpack(f">{len(data) // 2}H", data))


def filled(number, length, values):
    """A model with some points; the others stay as pysunspec2 encodes what is not implemented."""
    model = device.Model(number, model_len=length)
    factors = [name for name in values if name.endswith("_SF")]
    for name in factors + [name for name in values if name not in factors]:
        point = model.points[name]
        if point.sf_required:
            point.cvalue = values[name]
        else:
            point.value = values[name]
    return model


def main(base, number, values):
    common = filled(1, 66, {"Mn": "Peers", "Md": f"Model {number}", "Vr": "7.5", "SN": f"SN-{number}", "DA": UNIT})
    length = {1: {0: 50, 1: 60}, 2: {0: 105, 1: 124}}[number // 100][number // 10 % 10]
    model = filled(number, length, values)
    image = MARKER + words(common) + words(model) + END
    shown = {name: point.cvalue for name, point in model.points.items() if point.cvalue is not None}
    asyncio.run(serve(base, image, shown))


async def serve(base, image, shown):
    bits = SimData(address=9_999, values=[False] * 16, datatype=DataType.BITS)
    holding = SimData(address=base, values=image, datatype=DataType.REGISTERS)
    nothing = SimData(address=9_999, values=0, datatype=DataType.REGISTERS)
    unit = SimDevice(id=UNIT, simdata=([bits], [bits], [holding], [nothing]))
    server = ModbusTcpServer(unit, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print("ready", server.transport.sockets[0].getsockname()[1], json.dumps(shown), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.shutdown()


main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
