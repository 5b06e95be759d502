"""Prompt blocks in scene frames: overlaps, split, fit, drag, markers, and the Timeline they make. No bpy.

A block covers the scene frames [start, end), which may be negative. Blocks come in any order and keep it: an index
always means the same block before and after. Only enabled blocks are generated, so only they can overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kmm_core.errors import KmmError
from kmm_core.timeline import DEFAULT_PROMPT_SECONDS, Prompt, Timeline

# A marker of this name ends the prompt before it and starts none; so do Blender's own names for new markers.
END_MARKER = "end"
_NAMELESS_MARKER = re.compile(rf"|F_-?\d+|Marker(\.\d+)?|-|{END_MARKER}", re.IGNORECASE)
# Blender cuts the names of markers here.
MAX_MARKER_BYTES = 63


@dataclass(frozen=True)
class Block:
    """One prompt block: ``text`` in the scene frames [start, end); unlike ``Prompt`` it may be empty or negative."""

    text: str
    start: int
    end: int
    enabled: bool = True

    @property
    def num_frames(self) -> int:
        """Length in frames."""
        return self.end - self.start

    def moved(self, frames: int) -> Block:
        """The same block, ``frames`` later."""
        return replace(self, start=self.start + frames, end=self.end + frames)

    @property
    def label(self) -> str:
        """The text in quotes, short enough for a message."""
        return f'"{self.text}"' if len(self.text) <= 30 else f'"{self.text[:27]}..."'


def read_blocks(prompts: Iterable) -> list[Block]:
    """The blocks of ``scene.kmm.prompts``, or of anything with text, start, end and enabled."""
    return [Block(prompt.text, prompt.start, prompt.end, prompt.enabled) for prompt in prompts]


def place_blocks(prompts: Iterable, blocks: Iterable[Block]) -> None:
    """Gives each of ``scene.kmm.prompts`` the frames of the block at the same index."""
    for prompt, block in zip(prompts, blocks):
        if (prompt.start, prompt.end) != (block.start, block.end):
            # In this order: setting a start behind the old end pushes the end along.
            prompt.start = block.start
            prompt.end = block.end


def time_order(blocks: Sequence[Block]) -> list[int]:
    """Indices of the blocks from the earliest to the latest."""
    return sorted(range(len(blocks)), key=lambda index: (blocks[index].start, blocks[index].end, index))


def overlaps(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """Pairs of enabled blocks that share a frame, as indices, the earlier block first."""
    order = [index for index in time_order(blocks) if blocks[index].enabled]
    pairs = []
    for place, a in enumerate(order):
        for b in order[place + 1 :]:
            if blocks[b].start >= blocks[a].end:
                break  # in the order of their starts, so all further ones do as well
            pairs.append((a, b))
    return pairs


def frame_range(blocks: Iterable[Block]) -> tuple[int, int] | None:
    """First frame and the frame after the last of what is generated; None where no block is enabled."""
    enabled = [block for block in blocks if block.enabled]
    if not enabled:
        return None
    return min(block.start for block in enabled), max(block.end for block in enabled)


def to_timeline(blocks: Sequence[Block], fps: float) -> tuple[Timeline, int]:
    """The enabled blocks as a Timeline that starts at 0, and the scene frame of its frame 0.

    Args:
        blocks: in any order.
        fps: the scene's true frame rate.

    Raises:
        KmmError: ``no_prompts``, ``empty_prompt`` or ``timeline_overlap`` in scene frames; else as ``Timeline``.
    """
    covered = frame_range(blocks)
    if covered is None:
        raise KmmError(
            "no_prompts",
            "No prompt is switched on; expected at least one."
            if blocks
            else "There is no prompt; expected at least one.",
            "Tick a prompt's box in the Prompts panel." if blocks else "Add one in the Prompts panel.",
        )
    for block in blocks:
        if block.enabled and not block.text.strip():
            raise KmmError(
                "empty_prompt",
                f"The prompt for frames {block.start} to {block.end} is empty; expected a sentence.",
                'Describe the motion, such as "a person walks forward", or switch the prompt off.',
            )
    for first, second in overlaps(blocks):
        raise overlap_error(blocks[first], blocks[second])
    first_frame = covered[0]
    prompts = (
        Prompt(block.text, block.start - first_frame, block.end - first_frame)
        for block in blocks
        if block.enabled
    )
    return Timeline(fps, tuple(prompts)), first_frame


def overlap_error(first: Block, second: Block) -> KmmError:
    """What to say about two blocks that overlap, the earlier one first."""
    return KmmError(
        "timeline_overlap",
        f"The prompts {first.label} (frames {first.start} to {first.end}) and {second.label} "
        f"(frames {second.start} to {second.end}) overlap; they may only touch.",
        f"Start the second at {first.end} or later, or end the first at {second.start}.",
    )


def from_timeline(timeline: Timeline, fps: float, first_frame: int) -> list[Block]:
    """A Timeline's prompts as blocks at the scene's frame rate; its frame 0 becomes ``first_frame``.

    Boundaries, not lengths, are rounded, so that prompts which touch still touch.
    """
    rate = fps / timeline.fps
    return [
        Block(
            prompt.text,
            first_frame + round(prompt.start * rate),
            first_frame + max(round(prompt.end * rate), round(prompt.start * rate) + 1),
        )
        for prompt in timeline.prompts
    ]


def new_block(blocks: Sequence[Block], active: int, fps: float, first_frame: int) -> Block:
    """An empty block of the usual length in the first free place after the active one.

    Args:
        blocks: those that are there.
        active: index of the selected one.
        fps: the scene's frame rate.
        first_frame: where the first block of all starts.
    """
    length = max(1, round(DEFAULT_PROMPT_SECONDS * fps))
    if not blocks:
        return Block("", first_frame, first_frame + length)
    wanted = blocks[min(active, len(blocks) - 1)].end
    start = min(start for start in _free_starts(blocks, length, wanted) if start >= wanted)
    return Block("", start, start + length)


def duplicate(blocks: Sequence[Block], index: int) -> Block:
    """A copy of one block in the first place after it where it fits."""
    block = blocks[index]
    start = min(start for start in _free_starts(blocks, block.num_frames, block.end) if start >= block.end)
    return block.moved(start - block.start)


def split(block: Block, frame: int) -> tuple[Block, Block]:
    """One block as two that touch at ``frame``.

    Raises:
        KmmError: ``bad_split`` where a half would be empty.
    """
    if not block.start < frame < block.end:
        raise KmmError(
            "bad_split",
            f"Frame {frame} is not inside the prompt {block.label} (frames {block.start} to {block.end}).",
            "Move the playhead between its first and its last frame.",
        )
    return replace(block, end=frame), replace(block, start=frame)


def swap_with_neighbour(blocks: Sequence[Block], index: int, step: int) -> list[Block]:
    """One block changes places in time with the one before (``step`` -1) or after it (+1).

    Both keep their lengths and the gap between them; the first or last block stays where it is.
    """
    order = time_order(blocks)
    place = order.index(index)
    if not 0 <= place + step < len(order):
        return list(blocks)
    first, second = sorted((place, place + step))
    a, b = order[first], order[second]
    result = list(blocks)
    result[b] = blocks[b].moved(blocks[a].start - blocks[b].start)
    result[a] = blocks[a].moved(max(blocks[a].end, blocks[b].end) - blocks[a].end)
    return result


def fit(blocks: Sequence[Block], start: int, end: int) -> list[Block]:
    """All blocks, also those switched off, stretched or squeezed to fill the frames [start, end).

    Boundaries are rounded, so that blocks which touch still touch.

    Raises:
        KmmError: ``bad_frames`` where a block would have no frame left.
    """
    first, last = min(block.start for block in blocks), max(block.end for block in blocks)
    rate = (end - start) / (last - first)
    result = [
        replace(
            block,
            start=start + round((block.start - first) * rate),
            end=start + round((block.end - first) * rate),
        )
        for block in blocks
    ]
    for before, after in zip(blocks, result):
        if after.end <= after.start:
            raise KmmError(
                "bad_frames",
                f"The prompt {before.label} has {before.num_frames} frames; fitted into the playback "
                f"range of {end - start} frames, it would have none left.",
                "Set a longer playback range, or remove prompts.",
            )
    return result


# --- dragging ---------------------------------------------------------------------------------------


def drag(blocks: Sequence[Block], index: int, part: str, frames: int, mode: str = "NORMAL") -> list[Block]:
    """The blocks while one of them is dragged; always computed from where they were when the drag began.

    Args:
        blocks: before the drag.
        index: the block under the mouse.
        part: "BODY" moves it, "START" and "END" move that edge.
        frames: how far the mouse went.
        mode: "NORMAL": a body goes to the nearest free place; an edge takes along the edge of a block that it
            touches, and stops at others. "ALONE": an edge moves without the one it touches. "RIPPLE": all later
            blocks (for "START" all earlier ones) move along.
    """
    if part == "START":  # an end in the mirror
        return _mirrored(drag(_mirrored(blocks), index, "END", -frames, mode))
    block = blocks[index]
    # Blocks that are off are in nobody's way.
    others = [i for i, other in enumerate(blocks) if i != index and other.enabled and block.enabled]
    after = [i for i in others if blocks[i].start >= block.end]
    result = list(blocks)
    if part == "BODY" and mode != "RIPPLE":
        starts = _free_starts([blocks[i] for i in others], block.num_frames, block.start + frames)
        start = min(starts, key=lambda candidate: abs(candidate - block.start - frames))
        result[index] = block.moved(start - block.start)
        return result
    if part == "BODY":
        ends_before = [blocks[i].end for i in others if blocks[i].end <= block.start]
        frames = max([frames, *(end - block.start for end in ends_before)])
        result[index] = block.moved(frames)
    else:
        touched = [i for i in after if blocks[i].start == block.end and mode == "NORMAL"]
        frames = max(frames, 1 - block.num_frames)
        if mode != "RIPPLE":
            limits = (blocks[i].end - 1 if i in touched else blocks[i].start for i in after)
            frames = min([frames, *(limit - block.end for limit in limits)])
        result[index] = replace(block, end=block.end + frames)
        for i in touched:
            result[i] = replace(blocks[i], start=blocks[i].start + frames)
    if mode == "RIPPLE":
        for i in after:
            result[i] = blocks[i].moved(frames)
    return result


def _mirrored(blocks: Iterable[Block]) -> list[Block]:
    return [replace(block, start=-block.end, end=-block.start) for block in blocks]


def _free_starts(blocks: Iterable[Block], length: int, wanted: int) -> list[int]:
    """For each gap between enabled blocks that holds ``length`` frames, the start nearest to ``wanted``."""
    taken = sorted((block.start, block.end) for block in blocks if block.enabled)
    if not taken:
        return [wanted]
    starts = [min(wanted, taken[0][0] - length)]
    busy_until = taken[0][1]
    for start, end in taken[1:]:
        if start - busy_until >= length:
            starts.append(min(max(wanted, busy_until), start - length))
        busy_until = max(busy_until, end)
    return [*starts, max(wanted, busy_until)]


# --- markers ----------------------------------------------------------------------------------------


def from_markers(markers: Iterable[tuple[int, str]], end: int, fps: float) -> list[Block]:
    """Each marker is a prompt until the next marker.

    Args:
        markers: frame and name. Names "end", "-", "" and Blender's own ("F_12", "Marker") only end a prompt.
        end: the last prompt ends here (the frame after the playback range), where that leaves it a frame.
        fps: the scene's frame rate.

    Raises:
        KmmError: ``no_markers`` where no marker has a name that could be a prompt.
    """
    # Of markers on one frame the last one counts.
    names = {frame: " ".join(name.split()) for frame, name in markers}
    frames = sorted(names)
    if frames and end <= frames[-1]:
        end = frames[-1] + max(1, round(DEFAULT_PROMPT_SECONDS * fps))
    blocks = [
        Block(names[start], start, stop)
        for start, stop in zip(frames, [*frames[1:], end])
        if not _NAMELESS_MARKER.fullmatch(names[start])
    ]
    if not blocks:
        raise KmmError(
            "no_markers",
            f"The timeline has {len(frames)} markers, but none is named after a motion.",
            'Add markers with M and rename them with F2, such as "a person walks forward".',
        )
    return blocks


def to_markers(blocks: Sequence[Block]) -> list[tuple[int, str]]:
    """A marker for each enabled block, and an "end" marker where no block follows at once.

    Raises:
        KmmError: ``timeline_overlap``: markers can't say it.
    """
    for first, second in overlaps(blocks):
        raise overlap_error(blocks[first], blocks[second])
    enabled = [blocks[index] for index in time_order(blocks) if blocks[index].enabled]
    starts = {block.start for block in enabled}
    markers = [(block.start, block.text) for block in enabled]
    markers += [(block.end, END_MARKER) for block in enabled if block.end not in starts]
    return sorted(markers)
