// How fast this machine reads memory: what generating text is measured by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "puna/puna.hpp"

namespace cli {

class ReadBandwidth {
  public:
    // Takes a buffer of 2 GiB, or half of the memory that is free where that is less.
    explicit ReadBandwidth(int32_t n_threads);
    ~ReadBandwidth();

    // Reads the buffer once with each prefetch distance. Throws Interrupted.
    void sweep(const puna::Cancel& cancel);

    size_t buffer_bytes() const;
    // The best of all sweeps.
    double bytes_per_second() const { return bytes_per_second_; }
    size_t prefetch_bytes() const { return prefetch_bytes_; }

  private:
    struct Line;

    const int32_t n_threads_;
    size_t n_lines_ = 0;
    std::unique_ptr<Line[]> lines_;
    double bytes_per_second_ = 0;
    size_t prefetch_bytes_ = 0;
};

}  // namespace cli
