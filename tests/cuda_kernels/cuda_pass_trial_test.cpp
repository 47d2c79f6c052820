#include <gtest/gtest.h>

#include "cuda/pass_trial.h"

namespace puna::cuda {
namespace {

// The time of the n-th pass of a way, counted from 0.
template <class Time>
PassWay winner(const Time& time) {
    PassTrial trial;
    trial.allow_together();
    int n[kPassWays] = {};
    while (!trial.is_decided()) {
        EXPECT_STREQ(trial.text(), "");
        const PassWay way = trial.next();
        trial.add(way, time(way, n[static_cast<int>(way)]++));
    }
    EXPECT_EQ(n[0], n[1]);
    return trial.next();
}

TEST(CudaPassTrial, KnowsOneWayUntilAnotherIsAllowed) {
    PassTrial trial;
    EXPECT_TRUE(trial.is_decided());
    EXPECT_EQ(trial.next(), PassWay::kApart);
    EXPECT_STREQ(trial.text(), "");
}

TEST(CudaPassTrial, TakesTheShortestTime) {
    const auto slow_at_first = [](PassWay way, int n) {
        return way == PassWay::kTogether ? (n == 0 ? 9.0f : 1.0f) : 2.0f;
    };
    EXPECT_EQ(winner(slow_at_first), PassWay::kTogether);
    const auto slow = [](PassWay way, int) { return way == PassWay::kTogether ? 2.5f : 2.0f; };
    EXPECT_EQ(winner(slow), PassWay::kApart);
    EXPECT_EQ(winner([](PassWay, int) { return 1.0f; }), PassWay::kApart);
}

TEST(CudaPassTrial, SaysWhatItFound) {
    PassTrial trial;
    trial.allow_together();
    while (!trial.is_decided()) trial.add(trial.next(), 1.0f);
    EXPECT_STREQ(trial.text(), "many kernels");
}

}  // namespace
}  // namespace puna::cuda
