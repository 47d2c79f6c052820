#include "text/stop_matcher.h"

#include <algorithm>

namespace puna::core {

StopMatcher::StopMatcher(std::span<const std::string_view> stops)
    : stops_(stops.begin(), stops.end()), nodes_(1) {
    for (size_t i = 0; i < stops_.size(); ++i) add_stop(static_cast<int32_t>(i));
    link_nodes();
}

void StopMatcher::add_stop(int32_t stop) {
    const std::string& text = stops_[static_cast<size_t>(stop)];
    if (text.empty()) return;
    uint32_t node = 0;
    for (const char c : text) {
        nodes_[node].first_beyond = std::min(nodes_[node].first_beyond, stop);
        uint32_t child = find_child(node, static_cast<uint8_t>(c));
        if (child == 0) {
            child = static_cast<uint32_t>(nodes_.size());
            nodes_.push_back({.next_sibling = nodes_[node].first_child,
                              .depth = nodes_[node].depth + 1,
                              .spelled_by = stop,
                              .byte = static_cast<uint8_t>(c)});
            nodes_[node].first_child = child;
        }
        node = child;
    }
    if (nodes_[node].ends == kNoStop) nodes_[node].ends = stop;
}

// Breadth first, so that the shorter ends a node falls back to are linked before it.
void StopMatcher::link_nodes() {
    std::vector<uint32_t> order = {0};
    order.reserve(nodes_.size());
    for (size_t i = 0; i < order.size(); ++i) {
        const uint32_t parent = order[i];
        for (uint32_t child = nodes_[parent].first_child; child != 0;
             child = nodes_[child].next_sibling) {
            Node& node = nodes_[child];
            if (parent != 0) node.fail = next_state(nodes_[parent].fail, node.byte);
            if (node.ends == kNoStop) node.ends = nodes_[node.fail].ends;
            order.push_back(child);
        }
    }
}

uint32_t StopMatcher::find_child(uint32_t node, uint8_t byte) const {
    uint32_t child = nodes_[node].first_child;
    while (child != 0 && nodes_[child].byte != byte) child = nodes_[child].next_sibling;
    return child;
}

uint32_t StopMatcher::next_state(uint32_t node, uint8_t byte) const {
    for (;; node = nodes_[node].fail) {
        const uint32_t child = find_child(node, byte);
        if (child != 0 || node == 0) return child;
    }
}

// No stop that may still come begins before the one found, or as early and is listed before it.
bool StopMatcher::is_decided() const {
    if (stop_ == kNoStop) return false;
    const Node& node = nodes_[state_];
    const uint64_t earliest_begin = position_ - node.depth;
    if (earliest_begin != stop_begin_) return earliest_begin > stop_begin_;
    return node.first_beyond > stop_;
}

// The bytes held back are those that spell the state, so no copy of them is kept.
void StopMatcher::step(char c, std::string& out) {
    const Node& before = nodes_[state_];
    const uint64_t held_begin = position_ - before.depth;
    state_ = next_state(state_, static_cast<uint8_t>(c));
    ++position_;

    const Node& node = nodes_[state_];
    if (node.ends != kNoStop) {
        const uint64_t begin = position_ - stops_[static_cast<size_t>(node.ends)].size();
        if (stop_ == kNoStop || begin < stop_begin_ ||
            (begin == stop_begin_ && node.ends < stop_)) {
            stop_ = node.ends;
            stop_begin_ = begin;
        }
    }
    done_ = is_decided();
    const uint64_t keep_begin = done_ ? stop_begin_ : position_ - node.depth;
    const size_t n_out = static_cast<size_t>(keep_begin - held_begin);
    if (n_out == 0) return;
    const size_t n_held = std::min<size_t>(n_out, before.depth);
    if (n_held > 0) out.append(stops_[static_cast<size_t>(before.spelled_by)], 0, n_held);
    if (n_out > n_held) out += c;
}

bool StopMatcher::feed(std::string_view text, std::string& out) {
    out.reserve(out.size() + n_held() + text.size());  // from here on nothing can fail
    for (size_t i = 0; i < text.size() && !done_; ++i) step(text[i], out);
    return found() != kNoStop;
}

bool StopMatcher::finish(std::string& out) {
    if (done_) return found() != kNoStop;
    const Node& node = nodes_[state_];
    const uint64_t end = stop_ == kNoStop ? position_ : stop_begin_;
    const size_t n_out = static_cast<size_t>(end - (position_ - node.depth));
    if (n_out > 0) out.append(stops_[static_cast<size_t>(node.spelled_by)], 0, n_out);
    done_ = true;
    return found() != kNoStop;
}

void StopMatcher::reset() {
    state_ = 0;
    position_ = 0;
    stop_ = kNoStop;
    stop_begin_ = 0;
    done_ = false;
}

}  // namespace puna::core
