// A text in a context: its tokens, and the KV cells that hold what was computed of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"

namespace puna::core {

class Context;
class Evaluator;
class Generation;
class PagePool;

// Tokens are in one of two states: committed (part of the text), or pending (a prompt whose
// evaluation is under way). Of both together, the first n_valid have their cells. Committed ones may
// lack theirs: a token that was just sampled is evaluated by the next step.
//
// All functions are for the thread whose call is on the context, except the destructor.
class Sequence {
  public:
    // Takes all bookkeeping memory that n_ctx tokens need, so that growing cannot fail.
    explicit Sequence(std::shared_ptr<Context> context);
    ~Sequence();
    Sequence(const Sequence&) = delete;
    Sequence& operator=(const Sequence&) = delete;

    Context& context() const { return *context_; }
    const std::shared_ptr<Context>& shared_context() const { return context_; }
    std::span<const int32_t> tokens() const { return tokens_; }
    std::span<const int32_t> pages() const { return pages_; }
    int32_t length() const { return static_cast<int32_t>(tokens_.size()); }
    int32_t n_total() const { return length() + static_cast<int32_t>(pending_.size()); }
    int32_t n_valid() const { return n_valid_; }
    int32_t token_at(int32_t position) const;  // committed or pending

    // The generation that runs on it, or null.
    Generation* generation() const { return generation_; }
    void set_generation(Generation* generation) { generation_ = generation; }

    // So that add_pending of so many cannot throw.
    void reserve_pending(size_t n_tokens) { pending_.reserve(n_tokens); }
    // A prompt. PUNA_ERROR_CONTEXT_FULL when the tokens and it have more than n_ctx.
    Status add_pending(std::span<const int32_t> tokens);
    void commit();             // pending tokens become part of the text
    void rollback();           // pending tokens are forgotten, and their cells
    void push(int32_t token);  // a committed token; length() is below n_ctx
    // The cells of all tokens before `n` are filled.
    void set_valid(int32_t n) { n_valid_ = n; }

    // Makes the cells of positions begin .. end - 1 exist and be this sequence's alone: new pages
    // are taken, shared ones copied. PUNA_ERROR_NO_CELLS, with nothing changed but copies made.
    Status prepare_cells(int32_t begin, int32_t end);
    // Takes over the cells of other sequences of the context for as many tokens as are equal, up to
    // `limit`. Returns how many more are valid now.
    int32_t reuse_prefix(int32_t limit);

    // A new sequence with the same committed tokens and cells.
    std::shared_ptr<Sequence> fork() const;
    // Keeps the first n tokens. Nothing is pending.
    void truncate(int32_t n);
    // Drops tokens and turns the keys of the later ones. Nothing is pending.
    Status drop(int32_t first, int32_t n);

    // How many of the first tokens have cells as an evaluation from scratch would give them; the
    // cells behind a dropped range do not.
    // INT32_MAX: all.
    int32_t n_unshifted() const { return n_unshifted_; }
    void set_unshifted(int32_t n) { n_unshifted_ = n; }

  private:
    Status copy_on_write(size_t page_index, int32_t n_cells);
    void release_pages(size_t n_kept);
    int32_t common_prefix(const Sequence& other, int32_t limit) const;
    Status move_cells(int32_t from, int32_t to, int32_t n);

    const std::shared_ptr<Context> context_;
    std::vector<int32_t> tokens_;  // committed
    std::vector<int32_t> pending_;
    std::vector<int32_t> pages_;  // of the cells, in order of position
    int32_t n_valid_ = 0;
    int32_t n_unshifted_ = INT32_MAX;
    Generation* generation_ = nullptr;
};

}  // namespace puna::core
