// A sequence being continued: from logits to tokens, text and events.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "puna/puna_backend.h"
#include "runtime/cancel.h"
#include "runtime/event.h"
#include "runtime/sampler.h"
#include "runtime/sequence.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"

namespace puna::core {

class Model;

// The options of a generation, copied out of the caller's memory.
struct GenerationSetup {
    puna_generation_options options;  // pointers in it are not used
    std::vector<std::string> stops;
    std::vector<puna_logit_bias> bias;
    std::shared_ptr<Cancel> cancel;
};

// Everything but the destructor runs on the thread whose call is on the context.
class Generation {
  public:
    // Events that wait to be fetched beyond this park the generation: it is stepped no further.
    static constexpr size_t kMaxQueued = 64;

    // Puts the prompt on the sequence, on which no other generation runs. The context's list gets
    // it from the caller.
    static Result<std::shared_ptr<Generation>> start(std::shared_ptr<Sequence> sequence,
                                                     std::span<const int32_t> prompt,
                                                     GenerationSetup setup);

    Sequence& sequence() const { return *sequence_; }
    bool is_done() const { return finish_ != PUNA_FINISH_NONE; }
    // Something is there to be fetched.
    bool has_events() const {
        return !queue_.empty() || !failure_.ok() || is_stuck() || (is_done() && !is_done_seen_);
    }
    bool is_cancel_triggered() const { return !is_done() && is_triggered(setup_.cancel); }

    // For the scheduler -------------------------------------------------------------------------

    // Rows can be evaluated: it is not done, not parked or paused, and waits for nothing.
    bool can_run() const;
    bool is_in_prompt() const { return in_prompt_; }
    void pause(bool paused) { is_paused_ = paused; }
    // Makes the cells for all rows that are left, after taking over what other sequences have
    // computed of a prompt. When false, the failure is kept for poll().
    bool prepare();
    // The first position to evaluate. At least one row is left: logits to sample from are needed.
    int32_t next_position() const;
    // What the last row must deliver, if anything. Points into this generation.
    std::optional<puna_batch_output> output_request();
    // Rows before `end` were evaluated; `output` is null unless they were the last and one was
    // requested. Failures are kept for poll().
    void on_rows_done(int32_t end, const puna_batch_output* output);
    void add_seconds(bool prompt, double seconds);
    // Ends it, when it has not ended yet; pending tokens are taken back.
    void finish(int32_t reason);
    // Ends it by the user's wish: what text was held back becomes an event, then comes the status.
    void cancel();

    // For the user ------------------------------------------------------------------------------

    // What there is without evaluating: a queued event, a failure that was kept, DONE or PENDING.
    Status poll(puna_event* event);
    // No batch is under way.
    Status accept(int32_t token);
    void fill_info(puna_generation_info* info) const;

    // With the mutex of the context's gate held:
    bool is_doomed = false;    // its handle was destroyed
    bool is_detached = false;  // and nothing of it is under way any more

  private:
    Generation(std::shared_ptr<Sequence> sequence, GenerationSetup setup,
               std::unique_ptr<Sampler> sampler);

    Status place_prompt(std::span<const int32_t> prompt);
    void measure_prefill();
    Status make_room(int32_t n_tokens);
    Status on_evaluated(const puna_batch_output* output);
    Status make_room_for_token();
    Status take_token(int32_t token);
    Status end_without_memory();
    bool feed_text(int32_t token, std::string& text);
    bool flush_text(std::string& text);
    void end_open_tokens();
    void fill_event(const Event& source, puna_event* event) const;
    bool samples_from_logits() const;
    const Model& model() const;
    bool is_full() const;
    bool is_stuck() const;  // full, with PUNA_FULL_ERROR
    bool stops_when_full() const;

    const std::shared_ptr<Sequence> sequence_;
    const GenerationSetup setup_;
    const std::unique_ptr<Sampler> sampler_;
    StreamingDetokenizer detokenizer_;
    StopMatcher stop_matcher_;

    std::vector<float> logits_;  // [n_vocab], where more than the arg-max is asked of the backend
    int32_t argmax_ = -1;
    float argmax_logit_ = 0;

    std::deque<Event> queue_;
    Event current_;  // what the pointers of the caller's event point into
    Status failure_;

    bool in_prompt_ = true;
    bool is_prepared_ = false;    // the prompt is
    bool awaits_answer_ = false;  // to a LOGITS event
    bool is_paused_ = false;
    bool is_done_seen_ = false;
    int32_t finish_ = PUNA_FINISH_NONE;
    int32_t n_prompt_ = 0;
    int32_t prompt_begin_ = 0;   // its first position
    int32_t prefill_begin_ = 0;  // the first position that had to be evaluated
    int32_t n_prefill_ = 0;
    int32_t n_generated_ = 0;
    int32_t n_dropped_ = 0;
    double prompt_seconds_ = 0;
    double decode_seconds_ = 0;

    // Bytes of text that tokens spelled, and that the stop matcher let through; where the text of
    // each token ends that is not through yet; and how many tokens the detokenizer waits with: they
    // end in a character that is not complete.
    uint64_t n_text_fed_ = 0;
    uint64_t n_text_out_ = 0;
    std::deque<uint64_t> text_ends_;
    size_t n_unended_ = 0;
    int32_t n_sequence_ = 0;  // tokens of the sequence when this was done
};

}  // namespace puna::core
