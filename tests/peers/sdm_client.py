"""What sdm_modbus makes of an Eastron meter, as JSON: its own name of each register, the address and the value.

sdm_client.py CLASS tcp PORT UNIT ADDRESSES | sdm_client.py CLASS serial DEVICE BAUD UNIT ADDRESSES

ADDRESSES is a JSON list: what sdm_modbus knows of the model and is not among them is left out.
"""

import json
import sys

import sdm_modbus
from sdm_modbus.meter import registerType


def main(kind, transport, *rest):
    if transport == "tcp":
        meter = getattr(sdm_modbus, kind)(host="127.0.0.1", port=int(rest[0]), unit=int(rest[1]))
    else:
        meter = getattr(sdm_modbus, kind)(device=rest[0], baud=int(rest[1]), parity="N", stopbits=1, unit=int(rest[2]))
    addresses = json.loads(rest[-1])
    meter.connect()
    values = {}
    for name, entry in meter.registers.items():
        if entry[2] == registerType.INPUT and entry[0] in addresses:
            values[name] = [entry[0], meter.read(name)]
    meter.disconnect()
    print(json.dumps(values))


main(*sys.argv[1:])
