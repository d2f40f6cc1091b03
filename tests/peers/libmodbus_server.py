"""A meter made of libmodbus, the C library that most industrial programs speak Modbus with.

libmodbus_server.py tcp REGISTERS | libmodbus_server.py serial PORT BAUD REGISTERS

REGISTERS is a JSON object of input registers and their words; those between them show zero. Prints `ready`, over TCP with the port it
listens on, and ends when its standard input does: it does not outlive whoever started it.
"""

import ctypes
import json
import os
import socket
import sys
import threading

UNIT = 1
REQUEST_BYTES_MAX = 260

lib = ctypes.CDLL("libmodbus.so.5", use_errno=True)
lib.modbus_new_tcp.restype = ctypes.c_void_p
lib.modbus_new_rtu.restype = ctypes.c_void_p
lib.modbus_new_rtu.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char, ctypes.c_int, ctypes.c_int]
lib.modbus_strerror.restype = ctypes.c_char_p


class Mapping(ctypes.Structure):
    """modbus_mapping_t: how many of each kind there are, from which address, and where they are kept."""

    _fields_ = [(f"{what}_{kind}", ctypes.c_int) for kind in ("bits", "input_bits", "input_registers", "registers") for what in ("nb", "start")] + [
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    ]


lib.modbus_mapping_new.restype = ctypes.POINTER(Mapping)


def must(result, what):
    if result is None or result == -1:
        raise SystemExit(f"{what}: {lib.modbus_strerror(ctypes.get_errno()).decode()}")
    return result


def mapping(words):
    count = max(map(int, words)) + 1
    made = lib.modbus_mapping_new(0, 0, 0, count)  # the last one: input registers
    for address, word in words.items():
        made.contents.tab_input_registers[int(address)] = word
    return made


def answer(context, made):
    """Until the other side goes."""
    request = (ctypes.c_uint8 * REQUEST_BYTES_MAX)()
    while (length := lib.modbus_receive(context, request)) != -1:
        if length > 0:
            must(lib.modbus_reply(context, request, length, made), "reply")


def serve_tcp(made):
    context = ctypes.c_void_p(must(lib.modbus_new_tcp(b"127.0.0.1", 0), "new"))
    listening = must(lib.modbus_tcp_listen(context, 4), "listen")
    port = socket.socket(fileno=os.dup(listening)).getsockname()[1]
    print("ready", port, flush=True)
    listening = ctypes.c_int(listening)
    while True:
        must(lib.modbus_tcp_accept(context, ctypes.byref(listening)), "accept")
        answer(context, made)
        lib.modbus_close(context)


def serve_serial(made, port, baud):
    context = ctypes.c_void_p(must(lib.modbus_new_rtu(port.encode(), int(baud), b"N", 8, 1), "new"))
    must(lib.modbus_set_slave(context, UNIT), "unit id")
    must(lib.modbus_connect(context), "open")
    print("ready", flush=True)
    while True:
        answer(context, made)


def main(kind, *rest):
    made = mapping(json.loads(rest[-1]))
    serve = (lambda: serve_tcp(made)) if kind == "tcp" else (lambda: serve_serial(made, *rest[:2]))
    threading.Thread(target=serve, daemon=True).start()
    sys.stdin.read()


main(*sys.argv[1:])
