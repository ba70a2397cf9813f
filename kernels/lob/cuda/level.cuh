// LEVEL_SET and its queue models: anonymous liquidity of a price level becomes a number of lots. Semantics: docs/engine.md.
#pragma once

// ceil(upto x lots / total) with upto and total saturated at 2^31 - 1: what stays of the `upto` first lots of the queue.
LOB_FUNC i64 share_of(i64 upto, i64 lots, i64 total) {
  const u64 whole = least(total, i64(spec::DEPTH_SATURATED));
  const u64 part = least(upto, i64(spec::DEPTH_SATURATED));
  return static_cast<i64>((part * static_cast<u64>(lots) + whole - 1) / whole);
}

#ifdef LOB_HOST
inline Lanes<i64> share_of(Lanes<i64> upto, i64 lots, i64 total) {
  for (i64& lane : upto.v) lane = share_of(lane, lots, total);
  return upto;
}
#endif

// What an anonymous order keeps that has `own` of the `upto` lots from the front of the queue to it, of `total`.
LOB_FUNC Lanes<i64> kept_lots(int queue_model, Lanes<i64> upto, Lanes<i64> own, i64 lots, i64 total) {
  if (queue_model == spec::QUEUE_PROPORTIONAL) return share_of(upto, lots, total) - share_of(upto - own, lots, total);
  const Lanes<i64> before = queue_model == spec::QUEUE_BACK_FIRST ? upto - own : total - upto;
  return least(own, most(Lanes<i64>(0), lots - before));
}

// Takes lots off the anonymous orders of the level in slots bottom..top-1, so that `lots` of `total` stay.
template <int CAPACITY>
LOB_FUNC void shrink_level(Book<CAPACITY>& book, int queue_model, int side, int bottom, int top, int lots, i64 total) {
  i64 before = 0;
  for (int end = top; end > bottom; end -= 32) {
    const Lanes<int> slot = (end - 1) - lane_id();
    const Lanes<bool> inside = slot >= bottom;
    const Lanes<bool> anonymous = inside & (book.owner.load_if(inside, book.row(side) + slot, 1) == 0);
    const Lanes<int> own = book.lots.load_if(anonymous, book.row(side) + slot, 0);
    const Lanes<i64> upto = before + scan_lanes(widen(own));
    const Lanes<i64> keeps = kept_lots(queue_model, upto, widen(own), lots, total);
    sync_warp();
    book.lots.store_if(anonymous, book.row(side) + slot, narrow(keeps));
    before += sum_lanes(own);
  }
  sync_warp();
  book.squeeze(side, bottom);
}

// Applies LEVEL_SET but for growth that needs an order of its own: returns the lots that are to rest as one, or 0.
template <int CAPACITY>
LOB_FUNC int set_level(Book<CAPACITY>& book, int queue_model, int side, int price, int lots) {
  const int key = key_of(side, price);
  int top = book.num_orders(side);
  while (top > 0) {
    const Lanes<int> slot = (top - 1) - lane_id();
    const Lanes<bool> inside = slot >= 0;
    const Lanes<int> slot_price = book.price_tick.load_if(inside, book.row(side) + slot, 0);
    const int better = popc(ballot(inside & ((slot_price ^ -side) > key)));
    top -= better;
    if (better < 32) break;
  }
  int bottom = top;
  i64 total = 0;
  while (bottom > 0) {
    const Lanes<int> slot = (bottom - 1) - lane_id();
    const Lanes<bool> inside = slot >= 0;
    const Lanes<bool> same = inside & (book.price_tick.load_if(inside, book.row(side) + slot, 0) == price);
    const Lanes<bool> anonymous = same & (book.owner.load_if(same, book.row(side) + slot, 1) == 0);
    total += sum_lanes(book.lots.load_if(anonymous, book.row(side) + slot, 0));
    const int found = popc(ballot(same));
    bottom -= found;
    if (found < 32) break;
  }
  if (lots < total) shrink_level(book, queue_model, side, bottom, top, lots, total);
  if (lots <= total) return 0;
  const int growth = static_cast<int>(lots - total);
  const int back = book.row(side) + bottom;
  if (bottom == top || book.owner.load(back) != 0 || book.order_id.load(back) != 0) return growth;
  book.change_lots(side, bottom, book.lots.load(back) + growth);
  book.recount(side);
  return 0;
}
