#include "runtime/sequence.h"

#include <algorithm>

#include "puna/puna_backend.h"
#include "runtime/context.h"
#include "runtime/evaluator.h"
#include "runtime/page_pool.h"

namespace puna::core {
namespace {

size_t pages_for(int32_t n_tokens) {
    return static_cast<size_t>((n_tokens + PUNA_KV_PAGE - 1) / PUNA_KV_PAGE);
}

}  // namespace

Sequence::Sequence(std::shared_ptr<Context> context) : context_(std::move(context)) {
    tokens_.reserve(static_cast<size_t>(context_->n_ctx()));
    pages_.reserve(pages_for(context_->n_ctx()));
    context_->add_sequence(this);
}

Sequence::~Sequence() {
    context_->remove_sequence(this);
    context_->pages().release(pages_);
}

int32_t Sequence::token_at(int32_t position) const {
    const auto index = static_cast<size_t>(position);
    return index < tokens_.size() ? tokens_[index] : pending_[index - tokens_.size()];
}

Status Sequence::add_pending(std::span<const int32_t> tokens) {
    const auto n_ctx = static_cast<size_t>(context_->n_ctx());
    if (tokens.size() > n_ctx - tokens_.size()) {
        return make_status(PUNA_ERROR_CONTEXT_FULL,
                           "%zu tokens behind %zu that the sequence holds are more than n_ctx %zu: "
                           "shorten the text or make the context larger",
                           tokens.size(), tokens_.size(), n_ctx);
    }
    pending_.assign(tokens.begin(), tokens.end());
    return {};
}

void Sequence::commit() {
    tokens_.insert(tokens_.end(), pending_.begin(), pending_.end());
    pending_.clear();
}

void Sequence::rollback() {
    pending_.clear();
    n_valid_ = std::min(n_valid_, length());
    release_pages(pages_for(n_valid_));
}

void Sequence::push(int32_t token) {
    tokens_.push_back(token);
}

void Sequence::release_pages(size_t n_kept) {
    if (n_kept >= pages_.size()) return;
    context_->pages().release(std::span(pages_).subspan(n_kept));
    pages_.resize(n_kept);
}

Status Sequence::copy_on_write(size_t page_index, int32_t n_cells) {
    const int32_t old_page = pages_[page_index];
    if (!context_->pages().is_shared(old_page)) return {};
    const int32_t new_page = context_->pages().allocate();
    if (new_page == kNoPage) return context_->no_cells_error();
    const puna_kv_move copy = {old_page * PUNA_KV_PAGE, new_page * PUNA_KV_PAGE, n_cells, 0};
    if (n_cells > 0) {
        if (Status status = context_->evaluator().move(std::span(&copy, 1)); !status.ok()) {
            context_->pages().release(std::span(&new_page, 1));
            return status;
        }
    }
    pages_[page_index] = new_page;
    context_->pages().release(std::span(&old_page, 1));
    return {};
}

Status Sequence::prepare_cells(int32_t begin, int32_t end) {
    const size_t n_before = pages_.size();
    while (pages_.size() < pages_for(end)) {
        const int32_t page = context_->pages().allocate();
        if (page == kNoPage) {
            release_pages(n_before);
            return context_->no_cells_error();
        }
        pages_.push_back(page);
    }
    const auto first = static_cast<size_t>(begin / PUNA_KV_PAGE);
    for (size_t i = first; i < std::min(n_before, pages_for(end)); ++i) {
        const int32_t n_before_write = i == first ? begin % PUNA_KV_PAGE : 0;
        if (Status status = copy_on_write(i, n_before_write); !status.ok()) {
            release_pages(n_before);
            return status;
        }
    }
    return {};
}

int32_t Sequence::common_prefix(const Sequence& other, int32_t limit) const {
    limit =
        std::min({limit, n_total(), other.n_unshifted_, std::min(other.n_valid_, other.n_total())});
    int32_t n = 0;
    while (n < limit && token_at(n) == other.token_at(n)) ++n;
    return n;
}

int32_t Sequence::reuse_prefix(int32_t limit) {
    if (n_unshifted_ < n_valid_) return 0;
    // Held to the end: a sequence that goes on another thread leaves the list first.
    const auto list = context_->lock_sequences();
    const Sequence* best = nullptr;
    int32_t n_best = n_valid_;
    for (const Sequence* other : list.sequences) {
        if (other == this) continue;
        const int32_t n = common_prefix(*other, limit);
        if (n > n_best) {
            n_best = n;
            best = other;
        }
    }
    if (best == nullptr) return 0;
    // Whole pages of our own stay; from the first incomplete one on the other's take their place.
    const auto kept = static_cast<size_t>(n_valid_ / PUNA_KV_PAGE);
    release_pages(kept);
    const auto shared = std::span(best->pages_).subspan(kept, pages_for(n_best) - kept);
    context_->pages().retain(shared);
    pages_.insert(pages_.end(), shared.begin(), shared.end());
    const int32_t gained = n_best - n_valid_;
    n_valid_ = n_best;
    return gained;
}

std::shared_ptr<Sequence> Sequence::fork() const {
    auto copy = std::make_shared<Sequence>(context_);
    copy->tokens_.assign(tokens_.begin(), tokens_.end());
    copy->n_valid_ = std::min(n_valid_, length());
    copy->n_unshifted_ = n_unshifted_;
    const auto shared = std::span(pages_).first(pages_for(copy->n_valid_));
    copy->pages_.assign(shared.begin(), shared.end());
    context_->pages().retain(shared);
    return copy;
}

void Sequence::truncate(int32_t n) {
    tokens_.resize(static_cast<size_t>(n));
    n_valid_ = std::min(n_valid_, n);
    if (n_unshifted_ >= n) n_unshifted_ = INT32_MAX;
    release_pages(pages_for(n_valid_));
}

Status Sequence::drop(int32_t first, int32_t n) {
    if (n == 0) return {};
    const int32_t end = first + n;
    const int32_t n_behind = std::max(0, n_valid_ - end);
    if (n_behind > 0) PUNA_TRY(move_cells(end, first, n_behind));
    n_valid_ = n_behind > 0 ? n_valid_ - n : std::min(n_valid_, first);
    if (end < length()) n_unshifted_ = std::min(n_unshifted_, first);
    tokens_.erase(tokens_.begin() + first, tokens_.begin() + end);
    if (n_unshifted_ >= length()) n_unshifted_ = INT32_MAX;
    release_pages(pages_for(n_valid_));
    return {};
}

Status Sequence::move_cells(int32_t from, int32_t to, int32_t n) {
    // Pages that others hold too are not written: fresh ones take their place. The old ones still
    // are the sources, so the table changes last.
    PagePool& pool = context_->pages();
    const auto first_page = static_cast<size_t>(to / PUNA_KV_PAGE);
    std::vector<int32_t> targets(pages_.begin(), pages_.begin() + pages_for(to + n));
    std::vector<puna_kv_move> moves;
    moves.reserve(2 * targets.size() + 2);
    std::vector<int32_t> fresh;
    fresh.reserve(targets.size());
    for (size_t i = first_page; i < targets.size(); ++i) {
        if (!pool.is_shared(pages_[i])) continue;
        targets[i] = pool.allocate();
        if (targets[i] == kNoPage) {
            pool.release(fresh);
            return context_->no_cells_error();
        }
        fresh.push_back(targets[i]);
    }
    if (targets[first_page] != pages_[first_page] && to % PUNA_KV_PAGE > 0) {
        moves.push_back({pages_[first_page] * PUNA_KV_PAGE, targets[first_page] * PUNA_KV_PAGE,
                         to % PUNA_KV_PAGE, 0});
    }
    for (int32_t done = 0; done < n;) {  // runs that cross no page, in ascending order
        const int32_t source = (from + done) % PUNA_KV_PAGE;
        const int32_t target = (to + done) % PUNA_KV_PAGE;
        const int32_t run = std::min(n - done, PUNA_KV_PAGE - std::max(source, target));
        const int32_t source_page = pages_[static_cast<size_t>((from + done) / PUNA_KV_PAGE)];
        const int32_t target_page = targets[static_cast<size_t>((to + done) / PUNA_KV_PAGE)];
        moves.push_back({source_page * PUNA_KV_PAGE + source, target_page * PUNA_KV_PAGE + target,
                         run, to - from});
        done += run;
    }
    if (Status status = context_->evaluator().move(moves); !status.ok()) {
        pool.release(fresh);
        // A device that failed midway may have overwritten cells: they are computed again.
        if (status.code() != PUNA_ERROR_UNSUPPORTED) n_valid_ = std::min(n_valid_, to);
        return status;
    }
    for (size_t i = first_page; i < targets.size(); ++i) {
        if (targets[i] != pages_[i]) pool.release(std::span(&pages_[i], 1));
        pages_[i] = targets[i];
    }
    return {};
}

}  // namespace puna::core
