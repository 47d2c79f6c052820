#pragma once

#include <cmath>
#include <limits>
#include <span>

namespace puna::test {

// Euclidean; infinite when the sizes differ.
inline double relative_error(std::span<const double> expected, std::span<const float> actual) {
    if (expected.size() != actual.size()) return std::numeric_limits<double>::infinity();
    double error = 0.0;
    double square = 0.0;
    for (size_t i = 0; i < expected.size(); ++i) {
        error += (expected[i] - actual[i]) * (expected[i] - actual[i]);
        square += expected[i] * expected[i];
    }
    return std::sqrt(error / square);
}

}  // namespace puna::test
