#include "printer.h"

#include <cstdio>
#include <optional>
#include <string>

#include "readable.h"
#include "terminal.h"

namespace cli {
namespace {

class TextPrinter final : public Printer {
  public:
    explicit TextPrinter(std::string_view prompt) {
        if (is_terminal_) write_output(prompt);
    }
    void event(const puna::Event& event) override { write_output(event.text); }
    void done(const Timings& timings) override {
        end_line();
        const puna_generation_info& info = timings.info;
        const std::optional<double> rate = timings.prompt_rate();
        std::fprintf(
            stderr, "prompt: %d tokens, %s; generated: %d tokens, %.1f tokens/s; %sseed %u\n",
            info.n_prompt, rate ? (fixed(*rate, 1) + " tokens/s").c_str() : "not finished",
            info.n_generated, timings.generation_rate(), first_token(timings).c_str(), info.seed);
    }
    void failed() override { end_line(); }

  private:
    static std::string first_token(const Timings& timings) {
        if (!timings.seconds_to_first_token) return "";
        return "first token after " + fixed(*timings.seconds_to_first_token, 3) + " s; ";
    }
    void end_line() const {
        if (is_terminal_) write_output("\n");
    }

    bool is_terminal_ = is_terminal(stdout);
};

class JsonPrinter final : public Printer {
  public:
    JsonPrinter(const std::string& model_name, const puna::Model& model, bool with_logprobs,
                bool stream)
        : completion_(model_name), stream_(stream) {
        if (with_logprobs) logprobs_.emplace(model);
    }
    void event(const puna::Event& event) override {
        text_ += event.text;
        if (logprobs_) logprobs_->add(event);
        if (!stream_ || (text_.empty() && !logprobs_)) return;
        write_output(json_line(completion_.piece(text_, take_logprobs())));
        text_.clear();
    }
    void done(const Timings& timings) override {
        write_output(json_line(completion_.last(text_, take_logprobs(), timings)));
    }

  private:
    Json take_logprobs() { return logprobs_ ? logprobs_->take() : Json(nullptr); }

    Completion completion_;
    std::optional<Logprobs> logprobs_;
    std::string text_;
    bool stream_;
};

}  // namespace

std::unique_ptr<Printer> text_printer(std::string_view prompt) {
    return std::make_unique<TextPrinter>(prompt);
}

std::unique_ptr<Printer> json_printer(const std::string& model_name, const puna::Model& model,
                                      bool with_logprobs) {
    return std::make_unique<JsonPrinter>(model_name, model, with_logprobs, false);
}

std::unique_ptr<Printer> json_stream_printer(const std::string& model_name,
                                             const puna::Model& model, bool with_logprobs) {
    return std::make_unique<JsonPrinter>(model_name, model, with_logprobs, true);
}

}  // namespace cli
