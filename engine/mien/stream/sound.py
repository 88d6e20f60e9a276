"""The sound of the driving video, copied packet by packet into the video that is being written."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from mien.stream.decoding import open_container, origin

SoundPacket: TypeAlias = "Packet[AudioStream]"
log = logging.getLogger(__name__)

AAC_RATE = 48_000
AAC_BIT_RATE = 160_000


class SoundCopy:
    """Moves the first audio stream of a file into an output, in step with the pictures, at constant memory.

    The packets stay as they are. Only a codec that the output's container cannot hold is encoded again, as AAC, and the
    log says so. Damaged sound ends early, with a warning in the log: it never costs the pictures.
    """

    def __init__(self, path: Path, output: OutputContainer) -> None:
        """Adds a stream to `output` where the file has sound. Raises VideoError where it is no media file."""
        self._path = path
        self._output = output
        self._source = open_container(path)
        self._start = origin(self._source)
        self._packets: Iterator[SoundPacket] = iter(())
        if self._source.streams.audio:
            self._packets = self._until_damage(self._chosen(self._source.streams.audio[0]))
        self._waiting: SoundPacket | None = None

    def copy(self, until: float | None = None) -> None:
        """Writes the packets that start before `until` seconds; without it, all that are left."""
        packet = self._waiting or next(self._packets, None)
        while packet is not None and (until is None or float((packet.pts or 0) * packet.time_base) < until):
            self._output.mux_one(packet)
            packet = next(self._packets, None)
        self._waiting = packet

    def close(self) -> None:
        self._source.close()

    def _chosen(self, stream: AudioStream) -> Iterator[SoundPacket]:
        try:
            copy = self._output.add_stream_from_template(stream)
        except ValueError:
            name, form = stream.codec_context.name, self._output.format.name
            log.warning("The sound of %s is %s, which %s cannot hold: it becomes AAC.", self._path, name, form)
            aac = self._output.add_stream("aac", rate=AAC_RATE)
            aac.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            aac.codec_context.bit_rate = AAC_BIT_RATE
            return self._encoded(stream, aac)
        return self._copied(stream, copy)

    def _copied(self, stream: AudioStream, copy: AudioStream) -> Iterator[SoundPacket]:
        for packet in self._source.demux(stream):
            if packet.pts is None or packet.dts is None:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = copy
            yield packet

    def _encoded(self, stream: AudioStream, aac: AudioStream) -> Iterator[SoundPacket]:
        for frame in self._source.decode(stream):
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._start / frame.time_base)
            yield from aac.encode(frame)
        yield from aac.encode(None)

    def _until_damage(self, packets: Iterator[SoundPacket]) -> Iterator[SoundPacket]:
        try:
            yield from packets
        except av.error.FFmpegError as error:
            log.warning("The sound of %s breaks off: %s.", self._path, error.strerror)
