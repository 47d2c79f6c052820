#include "retries.h"

#include <chrono>
#include <thread>

#include "errors.h"

namespace cli {

bool Retries::wait(bool has_progressed) {
    using namespace std::chrono_literals;
    constexpr int kMaxTries = 5;
    n_failed_ = has_progressed ? 0 : n_failed_ + 1;
    if (n_failed_ >= kMaxTries) return false;
    auto pause = 100ms;
    for (int i = 1; i < n_failed_; ++i) pause *= 3;
    const auto end = std::chrono::steady_clock::now() + pause;
    while (std::chrono::steady_clock::now() < end) {
        if (interrupt_.cancel().is_triggered()) throw Interrupted();
        std::this_thread::sleep_for(20ms);
    }
    return true;
}

}  // namespace cli
