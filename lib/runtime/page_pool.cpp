#include "runtime/page_pool.h"

namespace puna::core {

PagePool::PagePool(int32_t n_pages) : holders_(static_cast<size_t>(n_pages), 0) {
    free_.reserve(holders_.size());
    for (int32_t page = n_pages - 1; page >= 0; --page) free_.push_back(page);
}

int32_t PagePool::allocate() {
    MutexLock lock(mutex_);
    if (free_.empty()) return kNoPage;
    const int32_t page = free_.back();
    free_.pop_back();
    holders_[static_cast<size_t>(page)] = 1;
    return page;
}

void PagePool::retain(std::span<const int32_t> pages) {
    MutexLock lock(mutex_);
    for (const int32_t page : pages) ++holders_[static_cast<size_t>(page)];
}

void PagePool::release(std::span<const int32_t> pages) {
    MutexLock lock(mutex_);
    for (const int32_t page : pages) {
        if (--holders_[static_cast<size_t>(page)] == 0) free_.push_back(page);
    }
}

bool PagePool::is_shared(int32_t page) const {
    MutexLock lock(mutex_);
    return holders_[static_cast<size_t>(page)] > 1;
}

int32_t PagePool::n_free() const {
    MutexLock lock(mutex_);
    return static_cast<int32_t>(free_.size());
}

}  // namespace puna::core
