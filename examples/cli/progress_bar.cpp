#include "progress_bar.h"

#include <cstdio>

namespace cli {

void ProgressBar::show(float fraction) {
    constexpr std::chrono::milliseconds kPatience{300};
    if (Clock::now() - start_ < kPatience) return;
    constexpr int kWidth = 40;
    const auto percent = static_cast<int>(fraction * 100);
    const int filled = percent * kWidth / 100;
    char text[96];
    std::snprintf(text, sizeof text, "%s [%.*s%*s] %3d %%", work_, filled,
                  "########################################", kWidth - filled, "", percent);
    line_.show(text);
}

}  // namespace cli
