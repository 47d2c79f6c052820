// How work is cut.
#include "cpu/workers.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace puna::core {
namespace {

TEST(Workers, TaperedPartsCoverEachUnitOnce) {
    for (const int64_t n : {1, 15, 16, 17, 255, 2048, 11264, 32003}) {
        for (const int64_t unit : {1, 16, 64}) {
            for (const int32_t n_parts : {1, 2, 3, 8, 12, 512}) {
                int64_t at = 0;
                for (int32_t part = 0; part < n_parts; ++part) {
                    const Range range = tapered_part_of(n, unit, part, n_parts);
                    ASSERT_EQ(range.begin, at) << n << " by " << unit << " in " << n_parts;
                    ASSERT_GE(range.end, at);
                    ASSERT_TRUE(range.end % unit == 0 || range.end == n);
                    at = range.end;
                }
                ASSERT_EQ(at, n) << n << " by " << unit << " in " << n_parts;
            }
        }
    }
}

TEST(Workers, PartsGetSmallerWhereThereAreManyUnits) {
    constexpr int32_t kParts = 8;
    constexpr int64_t kUnits = 704;
    int64_t last = kUnits;
    for (int32_t part = 0; part < kParts; ++part) {
        const Range range = tapered_part_of(kUnits, 1, part, kParts);
        EXPECT_LT(range.end - range.begin, last);
        last = range.end - range.begin;
    }
    EXPECT_GT(last, 0);
    EXPECT_LT(last, kUnits / kParts / 4);
}

TEST(Workers, FewUnitsAreSharedEvenly) {
    constexpr int32_t kParts = 8;
    for (int64_t units = 0; units < 4 * kParts; ++units) {
        for (int32_t part = 0; part < kParts; ++part) {
            const Range range = tapered_part_of(units, 1, part, kParts);
            EXPECT_LE(std::abs((range.end - range.begin) * kParts - units), kParts) << units;
        }
    }
}

// The sizes must not depend on products that overflow.
TEST(Workers, ManyUnitsInManyParts) {
    constexpr int64_t kUnits = int64_t{1} << 36;
    EXPECT_EQ(tapered_part_of(kUnits, 1, 2047, 2048).end, kUnits);
    EXPECT_LT(tapered_part_of(kUnits, 1, 2046, 2048).end, kUnits);
}

}  // namespace
}  // namespace puna::core
