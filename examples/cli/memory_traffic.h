// What generating a token reads from memory.
#pragma once

#include "puna/puna.hpp"

namespace cli {

class MemoryTraffic {
  public:
    MemoryTraffic(const puna::Model& model, const puna::Context& context);

    // With so many tokens in the cache, the one that is generated among them.
    double bytes_per_token(double n_cells) const { return weight_bytes_ + n_cells * cell_bytes_; }

  private:
    double weight_bytes_;
    double cell_bytes_;
};

}  // namespace cli
