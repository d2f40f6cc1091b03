"""Polls input registers with pymodbus: PORT SECONDS ADDRESS:COUNT,..."""

import json
import struct
import sys
import time

from pymodbus.client import ModbusTcpClient

port, seconds = int(sys.argv[1]), float(sys.argv[2])
asks = [tuple(map(int, ask.split(":"))) for ask in sys.argv[3].split(",")]
client = ModbusTcpClient("127.0.0.1", port=port, timeout=2)
assert client.connect()
points, began, cpu = 0, time.monotonic(), time.process_time()
while time.monotonic() - began < seconds:
    for address, count in asks:
        answer = client.read_input_registers(address, count=count, device_id=1)
        assert not answer.isError(), answer
        words = answer.registers
        values = struct.unpack(f">{count // 2}f", struct.pack(f">{count}H", *words))
        points += sum(1 for value in values if abs(value - 230.1) < 0.01)
figures = {"points": points, "seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
print(json.dumps(figures))
