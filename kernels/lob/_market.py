"""Parts of the market step in numba: inbox of agents' messages, clock, own orders. Semantics: docs/engine.md."""

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob._memory import INLINE, copy_words, fill_words
from kernels.lob._messages import ENTERING

NS_PER_S = 10**9


@njit(**INLINE)
def is_earlier(s, ns, other_s, other_ns):
    """Say whether the time (s, ns) is strictly before the other."""
    return s < other_s or (s == other_s and ns < other_ns)


@njit(**INLINE)
def accept(inbox, meta, agent_messages):
    """Put every agent message that is not NOP into the inbox, sorted by arrival, ties in order of entry."""
    for k in range(agent_messages.shape[0]):
        if agent_messages[k, spec.KIND] == spec.NOP:
            continue
        count = meta[spec.META_NUM_INBOX]
        if count == inbox.shape[0]:
            meta[spec.META_INBOX_DROPPED] += 1
            continue
        s, ns = agent_messages[k, spec.TIME_S], agent_messages[k, spec.TIME_NS]
        place = count
        while place > 0 and is_earlier(s, ns, inbox[place - 1, spec.TIME_S], inbox[place - 1, spec.TIME_NS]):
            copy_words(inbox[place], inbox[place - 1])
            place -= 1
        copy_words(inbox[place], agent_messages[k])
        meta[spec.META_NUM_INBOX] = count + 1


@njit(**INLINE)
def num_arrived(inbox, meta):
    """Return how many messages of the inbox, from its front, have arrived at or before the clock."""
    count = meta[spec.META_NUM_INBOX]
    arrived = 0
    while arrived < count and not is_earlier(
        meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS], inbox[arrived, spec.TIME_S], inbox[arrived, spec.TIME_NS]
    ):
        arrived += 1
    return arrived


@njit(**INLINE)
def drop_front(inbox, meta, number):
    """Take the first `number` messages out of the inbox."""
    count = meta[spec.META_NUM_INBOX]
    for row in range(number, count):
        copy_words(inbox[row - number], inbox[row])
    for row in range(count - number, count):
        fill_words(inbox[row], 0)
    meta[spec.META_NUM_INBOX] = count - number


@njit(**INLINE)
def complete(meta, msg):
    """Make the sampler's message a background message, with an id of the flow's own where the sampler gave none."""
    kind = np.int64(msg[spec.KIND])
    msg[spec.OWNER] = 0
    if msg[spec.ORDER_ID] == 0 and 0 < kind <= spec.POST_ONLY and (ENTERING >> kind) & 1:
        order_id = meta[spec.META_NEXT_ORDER_ID]
        msg[spec.ORDER_ID] = order_id
        meta[spec.META_NEXT_ORDER_ID] = order_id + 1 if order_id + 1 < spec.FIRST_AGENT_ORDER_ID else 1


@njit(**INLINE)
def clock_ns(meta):
    """Return the clock as int64 nanoseconds."""
    return np.int64(meta[spec.META_CLOCK_S]) * NS_PER_S + meta[spec.META_CLOCK_NS]


@njit(**INLINE)
def set_clock(meta, time_ns):
    """Set the clock from int64 nanoseconds."""
    seconds = time_ns // NS_PER_S
    meta[spec.META_CLOCK_S] = seconds
    meta[spec.META_CLOCK_NS] = time_ns - seconds * NS_PER_S


@njit(**INLINE)
def sampled_words(meta):
    """Return the words of meta that a sampler may change, one by one: a vector would wait for META_DRAW's store."""
    return (
        meta[spec.META_CLOCK_S],
        meta[spec.META_CLOCK_NS],
        meta[spec.META_NEXT_ORDER_ID],
        meta[spec.META_CURSOR],
    )


@njit(**INLINE)
def restore_words(meta, words):
    """Take back what a sampler did to meta."""
    meta[spec.META_CLOCK_S] = words[0]
    meta[spec.META_CLOCK_NS] = words[1]
    meta[spec.META_NEXT_ORDER_ID] = words[2]
    meta[spec.META_CURSOR] = words[3]


@njit(**INLINE)
def write_own(book, own):
    """Write the OWN_* columns of owners 1..A of a canonical book, int32[A, 2, 6]."""
    num_learners = own.shape[0]
    for learner in range(num_learners):
        fill_words(own[learner, 0], 0)
        fill_words(own[learner, 1], 0)
    for side in range(2):
        ahead = np.int64(0)  # lots of this level before the slot
        level_price = np.int64(0)
        for slot in range(book.num_orders[side] - 1, -1, -1):
            price = np.int64(book.price_tick[side, slot])
            if price != level_price:
                ahead, level_price = np.int64(0), price
            who = book.owner[side, slot]
            if 1 <= who <= num_learners:
                row = own[who - 1, side]
                if row[spec.OWN_PRESENT] == 0:
                    row[spec.OWN_PRESENT] = 1
                    row[spec.OWN_PRICE_TICK] = price
                    row[spec.OWN_LOTS] = book.lots[side, slot]
                    row[spec.OWN_ORDER_ID] = book.order_id[side, slot]
                    row[spec.OWN_LOTS_AHEAD] = min(ahead, spec.DEPTH_SATURATED)
                row[spec.OWN_NUM_ORDERS] += 1
            ahead += book.lots[side, slot]
