"""Slow, obvious twins of the stores' functions."""

import hashlib
import struct
from pathlib import Path


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit (RFC 3720: reflected polynomial 0x82F63B78)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def shard(chunks: list[bytes]) -> bytes:
    """A Zarr v3 shard with its index at the end, all in memory."""
    body = b""
    index = b""
    for chunk in chunks:
        encoded = chunk + struct.pack("<I", crc32c(chunk))
        index += struct.pack("<QQ", len(body), len(encoded))
        body += encoded
    return body + index + struct.pack("<I", crc32c(index))


def content(store: Path) -> str:
    """What ``sha256sum`` prints for the sorted array files, hashed once more."""
    lines = []
    for path in store.rglob("*"):
        if path.is_file() and path != store / "zarr.json":
            name = path.relative_to(store).as_posix()
            lines.append((name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(lines)).encode()).hexdigest()
