#include "transfer_meter.h"

#include <string>

#include "readable.h"

namespace cli {
namespace {

std::string readable_seconds(double seconds) {
    if (seconds < 99.5) return fixed(seconds, 0) + " s";
    if (seconds < 99.5 * 60) return fixed(seconds / 60, 0) + " min";
    return fixed(seconds / 3600, 0) + " h";
}

}  // namespace

// A mean that forgets: half of it is of the last three measurements.
void TransferMeter::measure(uint64_t here) {
    constexpr double kInterval = 0.5, kShare = 0.2;
    const double seconds = std::chrono::duration<double>(Clock::now() - since_).count();
    if (here < counted_) {  // begun again
        counted_ = here;
        since_ = Clock::now();
    }
    if (seconds < kInterval) return;
    const double rate = static_cast<double>(here - counted_) / seconds;
    rate_ = rate_ == 0 ? rate : rate_ + kShare * (rate - rate_);
    counted_ = here;
    since_ = Clock::now();
}

void TransferMeter::show(uint64_t here) {
    measure(here);
    std::string detail = " of " + readable_bytes(whole_);
    if (rate_ > 0) {
        detail += ", " + readable_bytes(static_cast<uint64_t>(rate_)) + "/s, " +
                  readable_seconds(static_cast<double>(whole_ - here) / rate_) + " left";
    }
    bar_.show(static_cast<float>(static_cast<double>(here) / static_cast<double>(whole_)), detail);
}

}  // namespace cli
