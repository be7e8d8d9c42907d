"""Asks whether an MQTT 5 broker answers at an address, with the least that can be asked."""

import socket

TIMEOUT_SECONDS = 0.5
CLIENT_ID = b"sealedge-probe"

_VARIABLE_HEADER = b"\x00\x04MQTT\x05\x02\x00\x0a\x00"
"""Protocol name and version 5, clean start, keep alive of 10 seconds, no properties (MQTT 5 §3.1.2)."""

_BODY = _VARIABLE_HEADER + len(CLIENT_ID).to_bytes(2) + CLIENT_ID
CONNECT = b"\x10" + bytes([len(_BODY)]) + _BODY
DISCONNECT = b"\xe0\x00"
CONNACK_TYPE = 0x20
SUCCESS = 0


def answers_connect(host: str, port: int) -> bool:
    """Whether a CONNECT is answered there by an accepting CONNACK (MQTT 5 §3.2), within half a second."""
    try:
        with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
            connection.sendall(CONNECT)
            answer = _read_exactly(connection, 4)
            connection.sendall(DISCONNECT)
    except OSError:
        return False
    return len(answer) == 4 and answer[0] == CONNACK_TYPE and answer[3] == SUCCESS


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    """Up to `size` bytes: fewer where the other side ends first."""
    read = b""
    while len(read) < size:
        more = connection.recv(size - len(read))
        if not more:
            break
        read += more
    return read
