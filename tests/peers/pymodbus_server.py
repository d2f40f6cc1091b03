"""A meter made of pymodbus: input registers with 32-bit floats, as an Eastron has them.

pymodbus_server.py tcp VALUES | pymodbus_server.py serial PORT BAUD VALUES

VALUES is a JSON object of addresses and values; the registers between them show zero. Prints `ready`, over TCP with the port it
listens on, and ends when its standard input does: it does not outlive whoever started it.
"""

import asyncio
import json
import sys

from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

UNIT = 1
IDENTITY = ModbusDeviceIdentification(info_name={"VendorName": "Peers Ltd", "ProductCode": "PY-630", "MajorMinorRevision": "3.16"})
# Registers of the meter, first and one past the last: two areas, as the device has them.
AREAS = ((0, 80), (342, 382))


def meter(values):
    """A device that answers function 4 only for what it has."""

    def area(first, end):
        floats = [float(values.get(str(address), 0.0)) for address in range(first, end, 2)]
        return SimData(address=first, values=floats, datatype=DataType.FLOAT32, readonly=True)

    nothing = SimData(address=9_999, values=0, datatype=DataType.REGISTERS)
    bits = SimData(address=9_999, values=[False] * 16, datatype=DataType.BITS)
    return SimDevice(id=UNIT, simdata=([bits], [bits], [nothing], [area(*span) for span in AREAS]))


async def main(kind, *rest):
    device = meter(json.loads(rest[-1]))
    if kind == "tcp":
        server = ModbusTcpServer(device, identity=IDENTITY, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        print("ready", server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        server = ModbusSerialServer(device, framer=FramerType.RTU, port=rest[0], baudrate=int(rest[1]))
        await server.serve_forever(background=True)
        print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.shutdown()


asyncio.run(main(*sys.argv[1:]))
