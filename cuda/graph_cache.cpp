#include "cuda/graph_cache.h"

#include <algorithm>

namespace puna::cuda {

namespace {

bool equal(const DeviceOutput& a, const DeviceOutput& b) {
    return a.kind == b.kind && a.k == b.k && a.n_bias == b.n_bias && a.bias == b.bias &&
           a.mask == b.mask && a.values == b.values && a.tokens == b.tokens &&
           a.n_filled == b.n_filled && a.log_sum_exp == b.log_sum_exp;
}

bool equal(const PassKey& a, const PassKey& b) {
    return a.n_rows == b.n_rows && a.n_views == b.n_views &&
           a.n_pages_of_longest == b.n_pages_of_longest &&
           std::equal(a.requests.begin(), a.requests.end(), b.requests.begin(), b.requests.end(),
                      [](const auto& x, const auto& y) { return equal(x, y); });
}

}  // namespace

GraphCache::Entry* GraphCache::find(const PassKey& key) {
    ++n_uses_;
    for (Entry& entry : entries_) {
        if (!equal(entry.key, key)) continue;
        entry.last_use = n_uses_;
        return &entry;
    }
    Entry entry;
    entry.key = key;
    entry.last_use = n_uses_;
    if (entries_.size() < kMostEntries) {
        entries_.push_back(std::move(entry));
    } else {
        *std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
            return a.last_use < b.last_use;
        }) = std::move(entry);
    }
    return nullptr;
}

}  // namespace puna::cuda
