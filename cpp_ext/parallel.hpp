// Shares rows out over two threads where that pays.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>

namespace mien {

// Starting a thread costs about 30 us, as much as some ten thousand pixels.
constexpr long long kPixelsWorthAThread = 40000;
constexpr int kRowsPerTurn = 16;

// Calls rows(first, last) until [first, last) is done. Threads take turns of a few rows, since rows differ in cost and
// another process may hold one of the cores.
template <class Rows>
void parallel_rows(int first, int last, long long pixels, const Rows& rows) {
    std::atomic<int> next{first};
    const auto work = [&] {
        for (;;) {
            const int begin = next.fetch_add(kRowsPerTurn);
            if (begin >= last) return;
            rows(begin, std::min(begin + kRowsPerTurn, last));
        }
    };
    if (pixels < kPixelsWorthAThread || std::thread::hardware_concurrency() < 2) return work();
    std::thread helper(work);
    work();
    helper.join();
}

}  // namespace mien
