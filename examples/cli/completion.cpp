#include "completion.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <utility>

namespace cli {
namespace {

std::string random_id() {
    std::random_device random;
    char text[32];
    std::snprintf(text, sizeof text, "cmpl-%08x%08x", random(), random());
    return text;
}

double rate(int32_t n_tokens, double seconds) {
    return n_tokens > 0 && seconds > 0 ? n_tokens / seconds : 0;
}

size_t n_characters(std::string_view utf8) {
    const auto begins_one = [](char byte) { return (byte & 0xC0) != 0x80; };
    return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), begins_one));
}

Json choice(const std::string& text, const Json& logprobs, const Json& finish_reason) {
    return {{"text", text}, {"index", 0}, {"logprobs", logprobs}, {"finish_reason", finish_reason}};
}

Json or_null(const std::optional<double>& number) {
    return number ? Json(*number) : Json(nullptr);
}

Json as_json(const Timings& timings) {
    const puna_generation_info& info = timings.info;
    return {{"load_seconds", timings.load_seconds},
            {"prompt_tokens", info.n_prompt},
            {"prompt_seconds", info.prompt_seconds},
            {"prompt_tokens_per_second", or_null(timings.prompt_rate())},
            {"generated_tokens", info.n_generated},
            {"generated_seconds", info.decode_seconds},
            {"generated_tokens_per_second", timings.generation_rate()},
            {"time_to_first_token_seconds", or_null(timings.seconds_to_first_token)}};
}

}  // namespace

std::optional<double> Timings::prompt_rate() const {
    if (info.finish == PUNA_FINISH_CANCELLED && info.n_generated == 0) return std::nullopt;
    return rate(info.n_prompt, info.prompt_seconds);
}

// The first token falls out of the prompt's evaluation.
double Timings::generation_rate() const {
    return rate(info.n_generated - 1, info.decode_seconds);
}

const char* finish_name(int32_t finish) {
    switch (finish) {
        case PUNA_FINISH_END:
        case PUNA_FINISH_STOP:
            return "stop";
        case PUNA_FINISH_CANCELLED:
            return "cancelled";
        default:
            return "length";
    }
}

Json Logprobs::empty_lists() {
    const Json none = Json::array();
    return {{"tokens", none},
            {"token_ids", none},
            {"token_logprobs", none},
            {"top_logprobs", none},
            {"text_offset", none}};
}

void Logprobs::add(const puna::Event& event) {
    if (event.token >= 0) {
        lists_["tokens"].push_back(spelled(event.token));
        lists_["token_ids"].push_back(event.token);
        lists_["token_logprobs"].push_back(event.logprob);
        Json top = Json::object();
        for (const puna_logprob& entry : event.logprobs) {
            top.emplace(spelled(entry.token), entry.logprob);  // the likelier of two spelled alike
        }
        lists_["top_logprobs"].push_back(std::move(top));
        lists_["text_offset"].push_back(text_offset_);
    }
    text_offset_ += n_characters(event.text);
}

Json Logprobs::take() {
    return std::exchange(lists_, empty_lists());
}

// Part of a character is written as its bytes, as OpenAI does.
std::string Logprobs::spelled(puna::Token token) const {
    const std::string text =
        model_.detokenize({&token, 1}, PUNA_DETOKENIZE_SPECIAL | PUNA_DETOKENIZE_CONTINUE);
    try {
        (void)Json(text).dump();
        return text;
    } catch (const Json::type_error&) {
        std::string bytes = "bytes:";
        for (const char byte : text) {
            char hex[8];
            std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(byte));
            bytes += hex;
        }
        return bytes;
    }
}

Completion::Completion(const std::string& model_name)
    : head_{{"id", random_id()},
            {"object", "text_completion"},
            {"created", static_cast<int64_t>(std::time(nullptr))},
            {"model", model_name}} {}

Json Completion::piece(const std::string& text, const Json& logprobs) const {
    Json document = head_;
    document["choices"] = Json::array({choice(text, logprobs, nullptr)});
    return document;
}

Json Completion::last(const std::string& text, const Json& logprobs, const Timings& timings) const {
    const puna_generation_info& info = timings.info;
    Json document = head_;
    document["choices"] = Json::array({choice(text, logprobs, finish_name(info.finish))});
    document["usage"] = {{"prompt_tokens", info.n_prompt},
                         {"completion_tokens", info.n_generated},
                         {"total_tokens", int64_t{info.n_prompt} + info.n_generated}};
    document["timings"] = as_json(timings);
    document["seed"] = info.seed;
    return document;
}

}  // namespace cli
