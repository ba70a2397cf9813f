// What CUDA samplers of Poisson flows share: exponential times in integers and what distances are counted from. The same
// bits as zero_intelligence_numba.py.
#pragma once

namespace zi {

constexpr int MIN_CLOCK_RATE = 4;
constexpr u32 MEAN_NUMERATOR = 4096000000u;

// ln(1 + j/256) x 2^24, zero_intelligence.LN_TABLE.
LOB_CONSTANT u32 LN_TABLE[257] = {
    0u, 65408u, 130563u, 195465u, 260117u, 324521u, 388679u, 452592u, 516263u, 579693u, 642884u, 705838u,
    768556u, 831042u, 893295u, 955318u, 1017112u, 1078680u, 1140023u, 1201142u, 1262040u, 1322717u, 1383175u, 1443417u,
    1503443u, 1563254u, 1622854u, 1682242u, 1741421u, 1800392u, 1859157u, 1917716u, 1976071u, 2034225u, 2092177u, 2149930u,
    2207485u, 2264843u, 2322006u, 2378974u, 2435750u, 2492334u, 2548728u, 2604933u, 2660951u, 2716782u, 2772428u, 2827890u,
    2883169u, 2938267u, 2993184u, 3047922u, 3102482u, 3156865u, 3211073u, 3265106u, 3318965u, 3372652u, 3426168u, 3479514u,
    3532691u, 3585699u, 3638541u, 3691217u, 3743728u, 3796075u, 3848259u, 3900281u, 3952143u, 4003845u, 4055388u, 4106773u,
    4158001u, 4209073u, 4259990u, 4310753u, 4361364u, 4411821u, 4462128u, 4512284u, 4562291u, 4612149u, 4661859u, 4711422u,
    4760840u, 4810112u, 4859240u, 4908225u, 4957067u, 5005767u, 5054326u, 5102746u, 5151025u, 5199167u, 5247170u, 5295037u,
    5342767u, 5390362u, 5437822u, 5485149u, 5532342u, 5579403u, 5626332u, 5673131u, 5719799u, 5766338u, 5812748u, 5859030u,
    5905184u, 5951213u, 5997115u, 6042892u, 6088544u, 6134072u, 6179477u, 6224760u, 6269921u, 6314960u, 6359879u, 6404678u,
    6449358u, 6493919u, 6538362u, 6582688u, 6626896u, 6670989u, 6714966u, 6758828u, 6802576u, 6846210u, 6889730u, 6933138u,
    6976434u, 7019619u, 7062693u, 7105656u, 7148510u, 7191254u, 7233890u, 7276418u, 7318838u, 7361152u, 7403359u, 7445460u,
    7487455u, 7529346u, 7571132u, 7612815u, 7654394u, 7695870u, 7737245u, 7778517u, 7819688u, 7860758u, 7901728u, 7942599u,
    7983370u, 8024042u, 8064615u, 8105091u, 8145469u, 8185751u, 8225936u, 8266025u, 8306018u, 8345917u, 8385720u, 8425430u,
    8465045u, 8504567u, 8543997u, 8583334u, 8622579u, 8661732u, 8700794u, 8739766u, 8778647u, 8817438u, 8856140u, 8894753u,
    8933277u, 8971713u, 9010061u, 9048321u, 9086495u, 9124581u, 9162582u, 9200496u, 9238326u, 9276070u, 9313729u, 9351304u,
    9388795u, 9426202u, 9463527u, 9500768u, 9537927u, 9575003u, 9611998u, 9648912u, 9685745u, 9722496u, 9759168u, 9795760u,
    9832271u, 9868704u, 9905058u, 9941333u, 9977530u, 10013648u, 10049690u, 10085654u, 10121541u, 10157351u, 10193086u, 10228744u,
    10264327u, 10299834u, 10335266u, 10370624u, 10405907u, 10441117u, 10476252u, 10511314u, 10546303u, 10581219u, 10616063u, 10650835u,
    10685534u, 10720162u, 10754719u, 10789204u, 10823619u, 10857963u, 10892237u, 10926442u, 10960577u, 10994642u, 11028638u, 11062566u,
    11096425u, 11130216u, 11163939u, 11197595u, 11231183u, 11264704u, 11298158u, 11331545u, 11364866u, 11398122u, 11431311u, 11464435u,
    11497493u, 11530487u, 11563416u, 11596280u, 11629080u,
};
constexpr int LN_2 = 11629080;

// An integer in 0..bound-1 from a word: the high half of the product.
LOB_FUNC i64 scale(u32 word, i64 bound) { return static_cast<i64>(static_cast<u64>(word) * static_cast<u64>(bound) >> 32); }

// -ln(word / 2^32) x 2^16: mean 1 over uniform words (0 counts as 1).
LOB_FUNC i64 exponential_q16(u32 word) {
  const u32 least_word = word > 0 ? word : 1u;
  const int zeros = leading_zeros(least_word);
  const u32 mantissa = least_word << zeros;
  const u32 index = mantissa >> 23 & 0xFFu, fraction = (mantissa & 0x7FFFFFu) >> 7;
  const u32 low = LN_TABLE[index];
  const i64 logarithm = low + (static_cast<i64>(LN_TABLE[index + 1] - low) * fraction >> 16);
  return (static_cast<i64>(zeros + 1) * LN_2 - logarithm + 128) >> 8;
}

// An exponential time in microseconds for a total rate in units of 2^-(8 + shift) per second.
LOB_FUNC i64 waiting_time_us(u32 word, i64 total, int shift) {
  const i64 clock_rate = most((total + ((i64(1) << shift) >> 1)) >> shift, i64(MIN_CLOCK_RATE));
  return static_cast<i64>(MEAN_NUMERATOR / static_cast<u32>(clock_rate)) * exponential_q16(word) >> 20;
}

// 1 + the slot of the best background order of a side, or 0: agents' orders move nobody's reference.
template <int CAPACITY>
LOB_FUNC int best_background(const Book<CAPACITY>& book, int side) {
  for (int top = book.num_orders(side); top > 0; top -= 32) {
    const Lanes<int> slot = (top - 1) - lane_id();
    const u32 background = ballot(book.owner.load_if(slot >= 0, book.row(side) + slot, 1) == 0);
    if (background != 0) return top - first_lane(background);
  }
  return 0;
}

// The tick that distances of `side` are counted from.
template <int CAPACITY>
LOB_FUNC int reference_price(const Book<CAPACITY>& book, int side, int reference_tick) {
  const int opposite = best_background(book, 1 - side);
  if (opposite > 0) return book.price_tick.load(book.row(1 - side) + opposite - 1);
  const int own = best_background(book, side);
  if (own > 0) return book.price_tick.load(book.row(side) + own - 1) + 1 - 2 * side;
  return reference_tick;
}

}  // namespace zi
