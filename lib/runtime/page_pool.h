// Pages of KV cells, counted by the sequences that hold them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/mutex.h"

namespace puna::core {

inline constexpr int32_t kNoPage = -1;

// Callable from any thread, since sequences may end on any. Allocates nothing after construction.
class PagePool {
  public:
    explicit PagePool(int32_t n_pages);

    // A page held once, or kNoPage.
    int32_t allocate();
    void retain(std::span<const int32_t> pages);
    void release(std::span<const int32_t> pages);
    // Held by more than one: to be copied before it is written.
    bool is_shared(int32_t page) const;

    int32_t n_pages() const { return static_cast<int32_t>(holders_.size()); }
    int32_t n_free() const;

  private:
    mutable Mutex mutex_;
    std::vector<int32_t> holders_;  // per page
    std::vector<int32_t> free_;     // a stack; the lowest page is taken first
};

}  // namespace puna::core
