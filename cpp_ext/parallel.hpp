// Shares rows out over two threads where that pays.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace mien {

// Starting a thread costs about 30 us, as much as some ten thousand pixels.
constexpr long long kPixelsWorthAThread = 40000;
constexpr int kRowsPerTurn = 16;

// The rows not yet taken, and how many turns are under way.
class Turns {
  public:
    Turns(int first, int last) : next_(first), last_(last) {}

    bool take(int& begin, int& end) {
        const std::lock_guard lock(mutex_);
        if (next_ >= last_) return false;
        begin = next_;
        next_ = end = std::min(next_ + kRowsPerTurn, last_);
        ++running_;
        return true;
    }

    void finish() {
        const std::lock_guard lock(mutex_);
        if (--running_ == 0) idle_.notify_all();
    }

    void wait() {
        std::unique_lock lock(mutex_);
        idle_.wait(lock, [this] { return running_ == 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable idle_;
    int next_;
    const int last_;
    int running_ = 0;
};

// Calls rows(first, last) until [first, last) is done. Threads take turns of a few rows, since rows differ in cost. On
// a busy machine the helper may not run for a long while: nobody waits for it unless it has taken a turn, and `rows`
// is not touched by a helper that comes too late.
template <class Rows>
void parallel_rows(int first, int last, long long pixels, const Rows& rows) {
    if (pixels < kPixelsWorthAThread || std::thread::hardware_concurrency() < 2) {
        if (first < last) rows(first, last);
        return;
    }
    const auto turns = std::make_shared<Turns>(first, last);
    const auto work = [turns, &rows] {
        for (int begin, end; turns->take(begin, end); turns->finish()) rows(begin, end);
    };
    try {
        std::thread(work).detach();
    } catch (const std::system_error&) {  // no thread to be had: this one does it all
    }
    work();
    turns->wait();
}

}  // namespace mien
