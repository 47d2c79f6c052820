// A flag that stops work, shared by its handle and the work.
#pragma once

#include <atomic>
#include <memory>

namespace puna::core {

class Cancel {
  public:
    void trigger() { triggered_.store(true, std::memory_order_release); }
    void reset() { triggered_.store(false, std::memory_order_release); }
    bool is_triggered() const { return triggered_.load(std::memory_order_acquire); }

  private:
    std::atomic<bool> triggered_{false};
};

inline bool is_triggered(const std::shared_ptr<Cancel>& cancel) {
    return cancel && cancel->is_triggered();
}

}  // namespace puna::core
