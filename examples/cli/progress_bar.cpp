#include "progress_bar.h"

#include <cstdio>

namespace cli {

void ProgressBar::show(float fraction, const std::string& detail) {
    constexpr std::chrono::milliseconds kPatience{300};
    if (Clock::now() - start_ < kPatience) return;
    const int width = detail.empty() ? 40 : 20;
    const auto percent = static_cast<int>(fraction * 100);
    const int filled = percent * width / 100;
    char text[96];
    std::snprintf(text, sizeof text, "%s [%.*s%*s] %3d %%", work_, filled,
                  "########################################", width - filled, "", percent);
    line_.show(text + detail);
}

}  // namespace cli
