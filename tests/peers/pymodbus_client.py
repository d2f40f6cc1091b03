"""What pymodbus reads from a meter, as JSON: the words of spans of input registers.

pymodbus_client.py tcp PORT UNIT SPANS | pymodbus_client.py serial DEVICE BAUD UNIT SPANS

SPANS is a JSON list of [first, count].
"""

import json
import sys

from pymodbus.client import ModbusSerialClient, ModbusTcpClient


def main(kind, *rest):
    if kind == "tcp":
        client = ModbusTcpClient("127.0.0.1", port=int(rest[0]), timeout=5)
    else:
        client = ModbusSerialClient(rest[0], baudrate=int(rest[1]), timeout=2)
    assert client.connect(), "no connection"
    words = {}
    for first, count in json.loads(rest[-1]):
        answer = client.read_input_registers(first, count=count, device_id=int(rest[-2]))
        assert not answer.isError(), answer
        words.update({first + offset: word for offset, word in enumerate(answer.registers)})
    client.close()
    print(json.dumps(words))


main(*sys.argv[1:])
