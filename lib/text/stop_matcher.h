// StopMatcher: finds the first of several stop strings in a text that comes in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace puna::core {

// The stop that begins earliest in the text wins, wherever the pieces are cut; of several that
// begin there, the one listed first. All before it is passed on. Held back is only what may still
// turn out to begin a stop, so a stop that lies within a longer one that may yet come has to wait.
//
// Time is linear in the text (an Aho-Corasick automaton), memory in the length of the stops.
class StopMatcher {
  public:
    static constexpr int32_t kNoStop = -1;

    // The stops are copied. An empty one never matches: callers refuse it.
    explicit StopMatcher(std::span<const std::string_view> stops);

    // Appends what of the text so far is no part of a stop. True once a stop is found. Text fed
    // after that, or after finish(), is ignored.
    bool feed(std::string_view text, std::string& out);

    // The text is over: appends what was held back, up to a stop in it. True if there is one.
    bool finish(std::string& out);

    // Position in the list of the stop found, or kNoStop.
    int32_t found() const { return done_ ? stop_ : kNoStop; }
    // Bytes held back now.
    size_t n_held() const { return done_ ? 0 : nodes_[state_].depth; }

    // Ready for another text.
    void reset();

  private:
    // The automaton's state after some text: the longest end of the text that begins a stop.
    struct Node {
        uint32_t first_child = 0;  // 0: none, the root is nobody's child
        uint32_t next_sibling = 0;
        uint32_t fail = 0;                 // the next shorter end of the text that begins a stop
        uint32_t depth = 0;                // bytes of it
        int32_t spelled_by = kNoStop;      // some stop that begins with it
        int32_t ends = kNoStop;            // the longest stop that ends here, the first of equals
        int32_t first_beyond = INT32_MAX;  // the first listed stop that begins with it and goes on
        uint8_t byte = 0;
    };

    void add_stop(int32_t stop);
    void link_nodes();
    uint32_t find_child(uint32_t node, uint8_t byte) const;
    uint32_t next_state(uint32_t node, uint8_t byte) const;
    bool is_decided() const;
    void step(char c, std::string& out);

    std::vector<std::string> stops_;
    std::vector<Node> nodes_;  // the root first

    uint32_t state_ = 0;
    uint64_t position_ = 0;    // bytes fed
    int32_t stop_ = kNoStop;   // the best so far
    uint64_t stop_begin_ = 0;  // where it begins
    bool done_ = false;
};

}  // namespace puna::core
