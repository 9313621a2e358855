"""The size that a compressed DICOM frame itself claims: codecs believe it, whatever the DICOM header says."""

_SOI, _J2K = b"\xff\xd8", b"\xff\x4f\xff\x51"
# Start-of-frame markers of JPEG (ITU-T T.81, table B.1) and of JPEG-LS (ITU-T T.87): C4, C8 and CC mean something else.
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})


def frame_size(frame: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG, JPEG-LS or JPEG 2000 frame; None where the frame does not say."""
    if frame.startswith(_SOI):
        return _jpeg_size(frame)
    start = frame.find(_J2K, 0, 4096)  # a JP2 file's boxes may come before the codestream
    return None if start < 0 else _jpeg2000_size(frame[start + 4 : start + 24])


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker in _START_OF_FRAME:
            return int.from_bytes(frame[place + 5 : place + 7], "big"), int.from_bytes(
                frame[place + 7 : place + 9], "big"
            )
        else:
            place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None


def _jpeg2000_size(segment: bytes) -> tuple[int, int] | None:
    """From the segment of image and tile size (ISO/IEC 15444-1, A.5.1), its marker left out."""
    if len(segment) < 20:
        return None
    right, bottom, left, top = (int.from_bytes(segment[at : at + 4], "big") for at in range(4, 20, 4))
    return bottom - top, right - left
