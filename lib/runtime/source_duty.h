// The sources that a call was given, with the duty to release them until somebody takes it over.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "puna/puna.h"

namespace puna::core {

// Holds copies, in place: being given the duty cannot fail.
class SourceDuty {
  public:
    SourceDuty() = default;
    ~SourceDuty() {
        for (const puna_source& source : sources()) {
            if (source.release != nullptr) source.release(source.user);
        }
    }
    SourceDuty(const SourceDuty&) = delete;
    SourceDuty& operator=(const SourceDuty&) = delete;

    // At most PUNA_MAX_SOURCES times.
    void add(const puna_source& source) { sources_[n_sources_++] = source; }
    std::span<const puna_source> sources() const { return std::span(sources_).first(n_sources_); }
    // The sources, valid as long as this, whose release is from now on the caller's to call.
    std::span<const puna_source> take() {
        const auto taken = sources();
        n_sources_ = 0;
        return taken;
    }

  private:
    std::array<puna_source, PUNA_MAX_SOURCES> sources_;
    size_t n_sources_ = 0;
};

}  // namespace puna::core
