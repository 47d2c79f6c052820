#include "runtime/generation.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "runtime/context.h"

namespace puna::core {
namespace {

constexpr int32_t kSample = -1;  // in place of a token: choose one

Status check_enum(const char* name, int32_t value, int32_t last) {
    if (value >= 0 && value <= last) return {};
    return make_status(PUNA_ERROR_ARGUMENT, "%s is %d, not 0 .. %d", name, static_cast<int>(value),
                       static_cast<int>(last));
}

// The sampler checks what concerns it.
Status check_options(const GenerationSetup& setup, int32_t n_ctx) {
    const puna_generation_options& options = setup.options;
    PUNA_TRY(check_enum("max_tokens", options.max_tokens, INT32_MAX));
    PUNA_TRY(check_enum("when_full", options.when_full, PUNA_FULL_SHIFT));
    PUNA_TRY(check_enum("n_keep", options.n_keep, n_ctx - 1));
    PUNA_TRY(check_enum("prompt_mode", options.prompt_mode, PUNA_PROMPT_REPLACE));
    PUNA_TRY(check_enum("n_logprobs", options.n_logprobs, PUNA_MAX_LOGPROBS));
    PUNA_TRY(check_enum("grammar_kind", options.grammar_kind, PUNA_GRAMMAR_JSON_SCHEMA));
    if (options.grammar != nullptr) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "grammar: grammars are not in this version");
    }
    if (options.n_draft != 0) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "n_draft: drafting is not in this version");
    }
    for (const std::string& stop : setup.stops) {
        if (stop.empty()) return make_status(PUNA_ERROR_ARGUMENT, "stops: a stop string is empty");
    }
    return {};
}

Status check_tokens(std::span<const int32_t> tokens, int32_t n_vocab) {
    for (size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] >= 0 && tokens[i] < n_vocab) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "token %zu is %d, not 0 .. %d", i,
                           static_cast<int>(tokens[i]), static_cast<int>(n_vocab - 1));
    }
    return {};
}

DetokenizeOptions text_options(const puna_generation_options& options) {
    DetokenizeOptions out;
    out.control_text = options.special_text != 0;
    out.strip_space_prefix = false;  // the text continues the prompt
    out.raw_bytes = options.raw_bytes != 0;
    return out;
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
    return {texts.begin(), texts.end()};
}

}  // namespace

Generation::Generation(std::shared_ptr<Sequence> sequence, GenerationSetup setup,
                       std::unique_ptr<Sampler> sampler)
    : sequence_(std::move(sequence)),
      setup_(std::move(setup)),
      sampler_(std::move(sampler)),
      detokenizer_(model().vocabulary(), text_options(setup_.options)),
      stop_matcher_(views(setup_.stops)) {
    if (samples_from_logits()) logits_.resize(static_cast<size_t>(model().n_vocab()));
}

Result<std::shared_ptr<Generation>> Generation::start(std::shared_ptr<Sequence> sequence,
                                                      std::span<const int32_t> prompt,
                                                      GenerationSetup setup) {
    const Context& context = sequence->context();
    const int32_t n_vocab = context.model().n_vocab();
    if (sequence->generation() != nullptr) {
        return make_status(PUNA_ERROR_STATE,
                           "a generation is running on the sequence: finish or destroy it first");
    }
    PUNA_TRY(check_options(setup, context.n_ctx()));
    PUNA_TRY(check_tokens(prompt, n_vocab));
    PUNA_TRY_ASSIGN(auto sampler, Sampler::create(setup.options, setup.bias, n_vocab));
    std::shared_ptr<Generation> generation(
        new Generation(std::move(sequence), std::move(setup), std::move(sampler)));
    PUNA_TRY(generation->place_prompt(prompt));
    generation->sequence_->set_generation(generation.get());
    return generation;
}

Status Generation::place_prompt(std::span<const int32_t> prompt) {
    Sequence& sequence = *sequence_;
    const auto n_ctx = static_cast<size_t>(sequence.context().n_ctx());
    n_prompt_ = static_cast<int32_t>(std::min<size_t>(prompt.size(), INT32_MAX));
    if (prompt.size() > n_ctx) {
        return make_status(PUNA_ERROR_CONTEXT_FULL,
                           "the prompt has %zu tokens, n_ctx is %zu: shorten it or make the "
                           "context larger",
                           prompt.size(), n_ctx);
    }
    const bool replaces = setup_.options.prompt_mode == PUNA_PROMPT_REPLACE;
    if (prompt.empty() && (replaces || sequence.length() == 0)) {
        return make_status(
            PUNA_ERROR_ARGUMENT,
            "nothing to continue: the prompt has no tokens and the sequence neither");
    }
    sequence.reserve_pending(prompt.size());
    if (replaces) {
        const auto tokens = sequence.tokens().first(std::min<size_t>(
            sequence.tokens().size(), static_cast<size_t>(sequence.n_unshifted())));
        const auto differ =
            std::mismatch(tokens.begin(), tokens.end(), prompt.begin(), prompt.end()).first;
        const auto n_kept = differ - tokens.begin();
        sequence.truncate(static_cast<int32_t>(n_kept));
        prompt = prompt.subspan(static_cast<size_t>(n_kept));
    } else {
        if (setup_.options.when_full == PUNA_FULL_SHIFT) PUNA_TRY(make_room(n_prompt_));
        prompt_begin_ = sequence.length();
    }
    PUNA_TRY(sequence.add_pending(prompt));
    measure_prefill();
    return {};
}

void Generation::measure_prefill() {
    prefill_begin_ = next_position();
    n_prefill_ = sequence_->n_total() - prefill_begin_;
}

// Drops tokens of the sequence so that the prompt fits behind the rest.
Status Generation::make_room(int32_t n_tokens) {
    Context& context = sequence_->context();
    const int32_t n_over = sequence_->length() + n_tokens - context.n_ctx();
    if (n_over <= 0) return {};
    const int32_t n_keep = std::min(setup_.options.n_keep, sequence_->length());
    const int32_t n_droppable = sequence_->length() - n_keep;
    if (n_over > n_droppable) return {};  // add_pending says what is wrong
    const int32_t n_shift = std::max(1, (context.n_ctx() - n_keep) / 2);
    const int32_t n_drop = std::min(std::max(n_over, n_shift), n_droppable);
    PUNA_TRY(context.finish_batch());
    PUNA_TRY(sequence_->drop(n_keep, n_drop));
    n_dropped_ += n_drop;
    return {};
}

const Model& Generation::model() const {
    return sequence_->context().model();
}

bool Generation::is_full() const {
    return sequence_->length() >= sequence_->context().n_ctx();
}

bool Generation::stops_when_full() const {
    return setup_.options.when_full == PUNA_FULL_DEFAULT ||
           setup_.options.when_full == PUNA_FULL_STOP;
}

bool Generation::samples_from_logits() const {
    const puna_generation_options& options = setup_.options;
    if (options.prompt_only != 0) return false;
    return !sampler_->is_plain_greedy() || options.n_logprobs > 0 ||
           options.stop_before_sampling != 0 ||
           sampler_->bias().size() > static_cast<size_t>(Context::kMaxDeviceBias);
}

// ---- Scheduling --------------------------------------------------------------------------------

bool Generation::can_run() const {
    if (is_done() || is_paused_ || awaits_answer_ || !failure_.ok()) return false;
    return queue_.size() < kMaxQueued && !is_stuck();
}

bool Generation::is_stuck() const {
    return !is_done() && !in_prompt_ && is_full() && setup_.options.when_full == PUNA_FULL_ERROR;
}

int32_t Generation::next_position() const {
    return std::min(sequence_->n_valid(), sequence_->n_total() - 1);
}

bool Generation::prepare() {
    Context& context = sequence_->context();
    if (in_prompt_ && !is_prepared_) {
        if (context.reuses_prefixes()) {
            context.count_reused(sequence_->reuse_prefix(sequence_->n_total() - 1));
        }
        measure_prefill();
    }
    // An evaluation that is cut off leaves its cells undefined, also one that is done again.
    const int32_t begin = next_position();
    sequence_->set_valid(begin);
    failure_ = sequence_->prepare_cells(begin, sequence_->n_total());
    if (failure_.ok()) is_prepared_ = true;
    return failure_.ok();
}

std::optional<puna_batch_output> Generation::output_request() {
    if (setup_.options.prompt_only != 0) return std::nullopt;
    puna_batch_output output = {};
    if (samples_from_logits()) {
        output.kind = PUNA_ROW_OUTPUT_LOGITS;
        output.values = logits_.data();
    } else {
        output.kind = PUNA_ROW_OUTPUT_ARGMAX;
        output.bias = sampler_->bias().data();
        output.n_bias = static_cast<int32_t>(sampler_->bias().size());
        output.tokens = &argmax_;
        output.values = &argmax_logit_;
    }
    return output;
}

void Generation::add_seconds(bool prompt, double seconds) {
    (prompt ? prompt_seconds_ : decode_seconds_) += seconds;
}

void Generation::on_rows_done(int32_t end, const puna_batch_output* output) {
    sequence_->set_valid(end);
    if (end < sequence_->n_total()) return;
    sequence_->commit();
    in_prompt_ = false;
    try {
        failure_ = on_evaluated(output);
    } catch (const std::bad_alloc&) {
        // Other generations of the batch must still get their results.
        failure_ = end_without_memory();
    }
}

// A token may have been taken by half: there is no going on from here.
Status Generation::end_without_memory() {
    finish(PUNA_FINISH_ERROR);
    return make_status(PUNA_ERROR_OUT_OF_MEMORY, "no memory for an event");
}

Status Generation::on_evaluated(const puna_batch_output* output) {
    if (output == nullptr) {
        finish(PUNA_FINISH_PROMPT);
        return {};
    }
    if (is_full() && stops_when_full()) {
        finish(PUNA_FINISH_CONTEXT_FULL);
        return {};
    }
    if (is_stuck()) return {};  // said by poll()
    if (setup_.options.stop_before_sampling != 0) {
        Event event;
        event.kind = PUNA_EVENT_LOGITS;
        queue_.push_back(std::move(event));
        awaits_answer_ = true;
        return {};
    }
    if (Status status = make_room_for_token(); !status.ok()) {
        // Nothing was sampled: the last row is evaluated once more when there is room.
        sequence_->set_valid(sequence_->length() - 1);
        return status;
    }
    const bool has_choice =
        output->kind == PUNA_ROW_OUTPUT_LOGITS
            ? std::any_of(logits_.begin(), logits_.end(), [](float x) { return std::isfinite(x); })
            : output->n_filled > 0;
    if (!has_choice) {
        finish(PUNA_FINISH_ERROR);
        return make_status(PUNA_ERROR_MODEL,
                           "no token can be chosen: the model's logits are not numbers: a damaged "
                           "file, or values beyond what an F16 cache holds");
    }
    return take_token(output->kind == PUNA_ROW_OUTPUT_LOGITS ? kSample : argmax_);
}

Status Generation::make_room_for_token() {
    if (!is_full()) return {};
    const int32_t n_keep = setup_.options.n_keep;
    const int32_t n_drop = std::max(1, (sequence_->context().n_ctx() - n_keep) / 2);
    PUNA_TRY(sequence_->drop(n_keep, n_drop));
    n_dropped_ += n_drop;
    return {};
}

// ---- Tokens and text ---------------------------------------------------------------------------

// Samples if `token` is kSample.
Status Generation::take_token(int32_t token) {
    Event event;
    event.kind = PUNA_EVENT_TOKEN;
    const int32_t n_logprobs = setup_.options.n_logprobs;
    float log_sum = 0;
    if (n_logprobs > 0) {
        log_sum = log_sum_exp(logits_);
        top_logprobs(logits_, log_sum, std::min(n_logprobs, model().n_vocab()), event.logprobs);
    }
    if (token == kSample) {
        // The sampler works on a copy where the logits of the choice are still wanted.
        std::vector<float> kept(n_logprobs > 0 ? logits_ : std::vector<float>());
        token = sampler_->sample(logits_, sequence_->tokens());
        if (n_logprobs > 0) logits_.swap(kept);
    }
    if (n_logprobs > 0) event.logprob = logits_[static_cast<size_t>(token)] - log_sum;
    event.token = token;
    event.n_generated = ++n_generated_;
    event.n_sequence = sequence_->length() + 1;

    int32_t reason = PUNA_FINISH_NONE;
    const bool is_end = setup_.options.ignore_end == 0 && model().vocabulary().is_end(token);
    const bool will_be_full = event.n_sequence >= sequence_->context().n_ctx();
    if (is_end) {
        reason = PUNA_FINISH_END;
    } else if (n_generated_ == setup_.options.max_tokens) {
        reason = PUNA_FINISH_LENGTH;
    } else if (will_be_full && stops_when_full()) {
        reason = PUNA_FINISH_CONTEXT_FULL;
    }
    if (feed_text(token, event.text) || (reason != PUNA_FINISH_NONE && flush_text(event.text))) {
        reason = PUNA_FINISH_STOP;
    }
    queue_.push_back(std::move(event));
    sequence_->push(token);
    if (reason != PUNA_FINISH_NONE) finish(reason);
    return {};
}

// Appends the text that the token completes; true when a stop string has occurred.
bool Generation::feed_text(int32_t token, std::string& text) {
    std::string spelled;
    // Rows of the embedding beyond the tokenizer's vocabulary have no text.
    const Vocabulary& vocabulary = model().vocabulary();
    if (vocabulary.contains(token)) {
        const Status status = detokenizer_.feed(token, spelled);
        if (!status.ok()) spelled.clear();
    }
    n_text_fed_ += spelled.size();
    // What is spelled ends the tokens before, which had only parts of its first character; this one
    // ends too unless a part of the next is held back.
    const bool is_complete = detokenizer_.n_held() == 0;
    if (is_complete) ++n_unended_;
    if (is_complete || !spelled.empty()) end_open_tokens();
    if (!is_complete) ++n_unended_;
    bool stopped = false;
    if (setup_.stops.empty()) {
        text += spelled;
    } else {
        stopped = stop_matcher_.feed(spelled, text);
    }
    n_text_out_ += text.size();
    while (!text_ends_.empty() && text_ends_.front() <= n_text_out_) text_ends_.pop_front();
    return stopped;
}

// Appends what was held back; true when a stop string occurs in it.
bool Generation::flush_text(std::string& text) {
    const size_t before = text.size();
    std::string rest;
    detokenizer_.finish(rest);
    n_text_fed_ += rest.size();
    end_open_tokens();
    bool stopped = false;
    if (setup_.stops.empty()) {
        text += rest;
    } else {
        stopped = stop_matcher_.feed(rest, text) || stop_matcher_.finish(text);
    }
    n_text_out_ += text.size() - before;
    while (!text_ends_.empty() && text_ends_.front() <= n_text_out_) text_ends_.pop_front();
    return stopped;
}

void Generation::end_open_tokens() {
    text_ends_.insert(text_ends_.end(), n_unended_, n_text_fed_);
    n_unended_ = 0;
}

void Generation::finish(int32_t reason) {
    if (is_done()) return;
    finish_ = reason;
    awaits_answer_ = false;
    sequence_->rollback();
    sequence_->set_generation(nullptr);
    n_sequence_ = sequence_->length();
}

void Generation::cancel() {
    if (is_done()) return;
    finish(PUNA_FINISH_CANCELLED);
    failure_ = make_status(PUNA_ERROR_CANCELLED, "cancelled");
    Event event;
    event.kind = PUNA_EVENT_TOKEN;
    event.n_generated = n_generated_;
    event.n_sequence = sequence_->length();
    flush_text(event.text);
    if (!event.text.empty()) queue_.push_back(std::move(event));
}

// ---- Events ------------------------------------------------------------------------------------

Status Generation::poll(puna_event* event) {
    if (!queue_.empty()) {
        current_ = std::move(queue_.front());
        queue_.pop_front();
        fill_event(current_, event);
        return {};
    }
    if (!failure_.ok()) return std::exchange(failure_, Status());
    if (awaits_answer_) {
        return make_status(PUNA_ERROR_STATE,
                           "a LOGITS event waits for its answer: call puna_generation_accept");
    }
    if (is_stuck()) {
        return make_status(PUNA_ERROR_CONTEXT_FULL, "the sequence has n_ctx = %d tokens",
                           static_cast<int>(sequence_->length()));
    }
    current_ = Event();
    if (is_done()) {
        current_.kind = PUNA_EVENT_DONE;
        is_done_seen_ = true;
    }
    current_.n_generated = n_generated_;
    current_.n_sequence = is_done() ? n_sequence_ : sequence_->length();
    fill_event(current_, event);
    return {};
}

void Generation::fill_event(const Event& source, puna_event* event) const {
    event->kind = source.kind;
    event->token = source.token;
    const bool done = source.kind == PUNA_EVENT_DONE;
    event->finish = done ? finish_ : PUNA_FINISH_NONE;
    event->stop_index = done && finish_ == PUNA_FINISH_STOP ? stop_matcher_.found() : -1;
    event->n_prefill = n_prefill_;
    event->n_prefill_done =
        in_prompt_ ? std::clamp(sequence_->n_valid() - prefill_begin_, 0, n_prefill_) : n_prefill_;
    event->n_generated = source.n_generated;
    event->n_sequence = source.n_sequence;
    event->logprob = source.logprob;
    event->text = source.text.c_str();
    event->text_size = source.text.size();
    event->n_logprobs = static_cast<int32_t>(source.logprobs.size());
    event->logprobs = source.logprobs.empty() ? nullptr : source.logprobs.data();
    const bool has_logits = source.kind == PUNA_EVENT_LOGITS;
    event->n_logits = has_logits ? static_cast<int32_t>(logits_.size()) : 0;
    event->logits = has_logits ? logits_.data() : nullptr;
}

Status Generation::accept(int32_t token) {
    if (!awaits_answer_) {
        return make_status(PUNA_ERROR_STATE, "no LOGITS event is open");
    }
    PUNA_TRY(check_tokens(std::span(&token, 1), model().n_vocab()));
    PUNA_TRY(make_room_for_token());
    awaits_answer_ = false;
    try {
        return take_token(token);
    } catch (const std::bad_alloc&) {
        return end_without_memory();
    }
}

void Generation::fill_info(puna_generation_info* info) const {
    info->seed = sampler_->seed();
    info->n_prompt = n_prompt_;
    info->n_prompt_reused = std::max(0, prefill_begin_ - prompt_begin_);
    info->n_generated = n_generated_;
    info->finish = finish_;
    info->stop_index = finish_ == PUNA_FINISH_STOP ? stop_matcher_.found() : -1;
    info->n_drafted = 0;
    info->n_draft_accepted = 0;
    info->n_dropped = n_dropped_;
    info->n_sequence_text = is_done()
                                ? n_sequence_ - static_cast<int32_t>(text_ends_.size() + n_unended_)
                                : sequence_->length();
    info->prompt_seconds = prompt_seconds_;
    info->decode_seconds = decode_seconds_;
}

}  // namespace puna::core
