// puna.h: tokens, text and chat templates.
#include <vector>

#include "capi/guard.h"
#include "capi/handles.h"
#include "text/detokenizer.h"

using namespace puna::core;

namespace {

Status check_token(const Vocabulary& vocabulary, int32_t token) {
    if (vocabulary.contains(token)) return {};
    return make_status(PUNA_ERROR_NOT_FOUND, "token %d is not in the vocabulary of %u",
                       static_cast<int>(token), vocabulary.n_vocab());
}

Status chat_templates_missing() {
    return make_status(PUNA_ERROR_UNSUPPORTED, "chat templates are not in this version");
}

}  // namespace

extern "C" {

puna_status PUNA_CALL puna_model_tokenize(const puna_model* model, const char* text,
                                          size_t text_size, int32_t flags, int32_t* tokens,
                                          int32_t capacity, int32_t* n_tokens, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        PUNA_TRY_ASSIGN(const auto bytes, read_text(text, text_size, "text"));
        std::vector<int32_t> found;
        PUNA_TRY(model->object->tokenize(bytes, flags, found));
        return write_tokens(found.data(), found.size(), tokens, capacity, n_tokens);
    });
}

puna_status PUNA_CALL puna_model_detokenize(const puna_model* model, const int32_t* tokens,
                                            int32_t n_tokens, int32_t flags, char* buffer,
                                            size_t capacity, size_t* needed, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        if (n_tokens < 0) return make_status(PUNA_ERROR_ARGUMENT, "n_tokens is negative");
        if (n_tokens > 0) PUNA_REQUIRE(tokens);
        if ((flags & ~(PUNA_DETOKENIZE_SPECIAL | PUNA_DETOKENIZE_CONTINUE)) != 0) {
            return make_status(PUNA_ERROR_UNSUPPORTED, "detokenize flags 0x%x are not known",
                               static_cast<unsigned>(flags));
        }
        DetokenizeOptions options;
        options.control_text = (flags & PUNA_DETOKENIZE_SPECIAL) != 0;
        options.strip_space_prefix = (flags & PUNA_DETOKENIZE_CONTINUE) == 0;
        options.raw_bytes = true;
        std::string text;
        PUNA_TRY(detokenize(model->object->vocabulary(), {tokens, static_cast<size_t>(n_tokens)},
                            options, text));
        return write_text(text, buffer, capacity, needed);
    });
}

puna_status PUNA_CALL puna_model_token(const puna_model* model, int32_t token,
                                       puna_token_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        const Vocabulary& vocabulary = model->object->vocabulary();
        PUNA_TRY(check_token(vocabulary, token));
        return write_struct(info, "info", [&](puna_token_info* whole) {
            whole->kind = static_cast<int32_t>(vocabulary.kind(token));
            whole->score = vocabulary.score(token);
            whole->ends_generation = vocabulary.is_end(token) ? 1 : 0;
            return Status();
        });
    });
}

puna_status PUNA_CALL puna_model_token_text(const puna_model* model, int32_t token, char* buffer,
                                            size_t capacity, size_t* needed, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        PUNA_TRY(check_token(model->object->vocabulary(), token));
        return write_text(model->object->vocabulary().text(token), buffer, capacity, needed);
    });
}

puna_status PUNA_CALL puna_model_find_token(const puna_model* model, const char* text,
                                            size_t text_size, int32_t* token, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        PUNA_REQUIRE(token);
        PUNA_TRY_ASSIGN(const auto bytes, read_text(text, text_size, "text"));
        const int32_t found = model->object->vocabulary().find(bytes);
        if (found == kNoToken) {
            return make_status(PUNA_ERROR_NOT_FOUND, "no token is spelled \"%.*s\"",
                               static_cast<int>(std::min<size_t>(bytes.size(), 64)), bytes.data());
        }
        *token = found;
        return {};
    });
}

puna_status PUNA_CALL puna_chat_options_init(puna_chat_options* options, size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_model_chat_text(const puna_model* model, const puna_chat_message*,
                                           int32_t, const puna_chat_options*, char*, size_t,
                                           size_t*, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        return chat_templates_missing();
    });
}

puna_status PUNA_CALL puna_model_chat_tokens(const puna_model* model, const puna_chat_message*,
                                             int32_t, const puna_chat_options*, int32_t*, int32_t,
                                             int32_t*, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        return chat_templates_missing();
    });
}

}  // extern "C"
