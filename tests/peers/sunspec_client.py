"""What pysunspec2 reads from a SunSpec device, as JSON: its nameplate, and every point of its first other model by name.

sunspec_client.py tcp PORT UNIT | sunspec_client.py serial DEVICE BAUD UNIT
"""

import json
import sys

from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU, SunSpecModbusClientDeviceTCP


def main(kind, *rest):
    if kind == "tcp":
        device = SunSpecModbusClientDeviceTCP(slave_id=int(rest[1]), ipaddr="127.0.0.1", ipport=int(rest[0]), timeout=5)
    else:
        device = SunSpecModbusClientDeviceRTU(int(rest[2]), rest[0], baudrate=int(rest[1]), timeout=2)
    device.scan()
    common = device.common[0]
    numbers = [number for number in device.models if isinstance(number, int) and number != 1]
    model = device.models[numbers[0]][0]
    points = {name: point.cvalue for name, point in model.points.items()}
    plate = {name: common.points[name].cvalue for name in ("Mn", "Md", "Vr", "SN")}
    device.close()
    print(json.dumps({"base": device.base_addr, "plate": plate, "models": numbers, "points": points}))


main(*sys.argv[1:])
