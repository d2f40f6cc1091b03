"""What minimalmodbus reads over a serial line, as JSON: 32-bit floats of input registers, by address.

minimalmodbus_client.py DEVICE BAUD UNIT ECHO ADDRESS...

ECHO is 1 where the adapter hears itself and minimalmodbus is told so.
"""

import json
import sys

import minimalmodbus


def main(device, baud, unit, echo, *addresses):
    instrument = minimalmodbus.Instrument(device, int(unit))
    instrument.serial.baudrate = int(baud)
    instrument.serial.timeout = 1.0
    instrument.handle_local_echo = echo == "1"
    instrument.clear_buffers_before_each_transaction = True
    print(json.dumps({address: instrument.read_float(int(address), functioncode=4) for address in addresses}))


main(*sys.argv[1:])
