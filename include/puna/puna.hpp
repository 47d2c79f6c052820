// puna.hpp - the C++20 face of puna.h: owners, spans, strings, ranges. Header only.
//
// SPDX-License-Identifier: MIT
//
//     puna::Model model("tinyllama.gguf");
//     puna::Context context(model);
//     for (const puna::Event& event : context.sequence().generate("Once upon a time"))
//         std::cout << event.text << std::flush;
//
// Every fallible operation exists twice: `try_name` returns a puna::Result and never throws by
// itself, `name` returns the value and throws puna::Error. Without exceptions (-fno-exceptions)
// only the first kind exists. What an operation does, its ranges and errors stand in puna.h under
// the C name; this file adds no behaviour. Owners are move-only; a moved-from one is empty and only
// good for destroying and assigning. All owners may be destroyed in any order.
//
// std::bad_alloc from the containers used here passes through.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "puna/puna.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define PUNA_HPP_EXCEPTIONS 1
#include <exception>
#include <stdexcept>
#else
#define PUNA_HPP_EXCEPTIONS 0
#endif

namespace puna {

using Token = std::int32_t;

/// The time that a call may take: any duration of std::chrono. One that is zero or less is spent, which
/// is never "no limit" as 0 is in puna.h. More than INT32_MAX microseconds, some 35 minutes, count as so many:
/// only kNoLimit has no end.
using Budget = std::chrono::duration<double, std::micro>;
inline constexpr Budget kNoLimit = (Budget::max)();

/// A failed call: one of the PUNA_ERROR_* codes and its line of text.
struct Failure {
    puna_status status = PUNA_OK;
    std::string message;
};

#if PUNA_HPP_EXCEPTIONS
class Error : public std::runtime_error {
  public:
    explicit Error(const Failure& failure)
        : std::runtime_error(failure.message), status_(failure.status) {}
    puna_status status() const noexcept { return status_; }

  private:
    puna_status status_;
};
#endif

/// A value or a failure. `*result` is only for results that are ok.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(Failure failure) : failure_(std::move(failure)) {}

    bool ok() const { return value_.has_value(); }
    explicit operator bool() const { return ok(); }
    const Failure& failure() const { return failure_; }
    T& operator*() & { return *value_; }
    const T& operator*() const& { return *value_; }
    T&& operator*() && { return std::move(*value_); }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }

  private:
    std::optional<T> value_;
    Failure failure_;
};

/// The result of an operation without a value.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Failure failure) : failure_(std::move(failure)) {}

    bool ok() const { return failure_.status == PUNA_OK; }
    explicit operator bool() const { return ok(); }
    const Failure& failure() const { return failure_; }

  private:
    Failure failure_;
};

namespace detail {

// Runs a C call that takes a puna_error* and wraps what it says.
template <class Call>
Result<void> checked(Call&& call) {
    puna_error error = PUNA_ERROR_INIT;
    const puna_status status = call(&error);
    if (status == PUNA_OK) return {};
    return Failure{status, error.message};
}

template <class T, class Call>
Result<T> value_of(T value, Call&& call) {
    Result<void> result = checked([&](puna_error* error) { return call(&value, error); });
    if (!result.ok()) return result.failure();
    return value;
}

// Text by the (buffer, capacity, &needed) rule: asks for the size, then for the text.
template <class Call>
Result<std::string> text_of(Call&& call) {
    std::size_t size = 0;
    Result<void> result =
        checked([&](puna_error* error) { return call(nullptr, std::size_t{0}, &size, error); });
    if (!result.ok()) return result.failure();
    std::string text(size + 1, '\0');
    result =
        checked([&](puna_error* error) { return call(text.data(), text.size(), &size, error); });
    if (!result.ok()) return result.failure();
    text.resize(size);
    return text;
}

template <class Call>
Result<std::vector<Token>> tokens_of(std::int32_t first_guess, Call&& call) {
    // Not empty: a call without a buffer gives the count alone and succeeds.
    std::vector<Token> tokens(static_cast<std::size_t>(first_guess) + 1);
    std::int32_t count = 0;
    Failure failure;
    for (int attempt = 0; attempt < 2; ++attempt) {
        Result<void> result = checked([&](puna_error* error) {
            return call(tokens.data(), static_cast<std::int32_t>(tokens.size()), &count, error);
        });
        if (result.ok()) {
            tokens.resize(static_cast<std::size_t>(count));
            return tokens;
        }
        failure = result.failure();
        if (failure.status != PUNA_ERROR_BUFFER) break;
        tokens.resize(static_cast<std::size_t>(count));
    }
    return failure;
}

#if PUNA_HPP_EXCEPTIONS
template <class T>
T unwrap(Result<T> result) {
    if (!result.ok()) throw Error(result.failure());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}
#endif

// A callable that the C side holds: `user` points to it, `release` deletes it. An exception of the
// callable is kept, the call stopped, and the exception thrown again once the C call has returned.
template <class Function>
struct Callback {
    explicit Callback(Function callable) : function(std::move(callable)) {}

    Function function;
#if PUNA_HPP_EXCEPTIONS
    std::exception_ptr exception;
#endif

    template <class... Args>
    bool operator()(Args&&... args) noexcept {
#if PUNA_HPP_EXCEPTIONS
        try {
            return function(std::forward<Args>(args)...);
        } catch (...) {
            exception = std::current_exception();
            return false;
        }
#else
        return function(std::forward<Args>(args)...);
#endif
    }
    void rethrow() {
#if PUNA_HPP_EXCEPTIONS
        if (exception) std::rethrow_exception(std::exchange(exception, nullptr));
#endif
    }
};

inline std::int32_t size32(std::size_t size) {
    return size > INT32_MAX ? INT32_MAX : static_cast<std::int32_t>(size);
}

// A rest of a frame is rounded up, because 0 is no limit to the C side; `spent` stands for no rest.
inline std::int32_t microseconds(Budget budget, std::int32_t spent) {
    if (!(budget.count() > 0)) return spent;
    if (budget >= kNoLimit) return 0;
    if (budget.count() >= INT32_MAX) return INT32_MAX;
    return static_cast<std::int32_t>(std::chrono::ceil<std::chrono::microseconds>(budget).count());
}

template <class Handle, void(PUNA_CALL* Destroy)(Handle*)>
struct Deleter {
    void operator()(Handle* handle) const noexcept { Destroy(handle); }
};
template <class Handle, void(PUNA_CALL* Destroy)(Handle*)>
using Owner = std::unique_ptr<Handle, Deleter<Handle, Destroy>>;

}  // namespace detail

/// Stops work from another thread; see puna_cancel_trigger.
class Cancel {
  public:
    static Result<Cancel> try_create() {
        puna_cancel* handle = nullptr;
        auto result =
            detail::checked([&](puna_error* error) { return puna_cancel_create(&handle, error); });
        if (!result.ok()) return result.failure();
        return Cancel(handle);
    }
#if PUNA_HPP_EXCEPTIONS
    Cancel() : Cancel(detail::unwrap(try_create())) {}
#endif
    void trigger() const noexcept {
        puna_cancel_trigger(handle_.get());
    }
    void reset() const noexcept {
        puna_cancel_reset(handle_.get());
    }
    bool is_triggered() const noexcept {
        return puna_cancel_is_triggered(handle_.get()) != 0;
    }
    puna_cancel* handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Cancel(puna_cancel* handle) : handle_(handle) {}
    detail::Owner<puna_cancel, puna_cancel_destroy> handle_;
};

// ------------------------------------------------------------------------------------------------
// Runtime
// ------------------------------------------------------------------------------------------------

/// puna_runtime_options with its defaults, and the logger as a C++ callable (which must not throw).
struct RuntimeOptions : puna_runtime_options {
    RuntimeOptions() : puna_runtime_options PUNA_RUNTIME_OPTIONS_INIT {}
    std::function<void(std::int32_t level, std::string_view text)> on_log;
};

class Runtime {
  public:
    static Result<Runtime> try_create(const RuntimeOptions& options = {}) {
        puna_runtime_options raw = options;
        if (options.on_log) {
            using Log = std::function<void(std::int32_t, std::string_view)>;
            raw.log_user = new Log(options.on_log);
            raw.log = [](std::int32_t level, const char* text, std::size_t size, void* user) {
                (*static_cast<Log*>(user))(level, {text, size});
            };
            raw.log_release = [](void* user) { delete static_cast<Log*>(user); };
        }
        puna_runtime* handle = nullptr;
        auto result = detail::checked(
            [&](puna_error* error) { return puna_runtime_create(&raw, &handle, error); });
        if (!result.ok()) return result.failure();
        return Runtime(handle);
    }
    Result<void> try_load_backend(std::string_view path) {
        return detail::checked([&](puna_error* error) {
            return puna_runtime_load_backend(handle(), path.data(), path.size(), error);
        });
    }
    Result<std::vector<puna_device_info>> try_devices() const {
        std::vector<puna_device_info> devices;
        std::int32_t i = 0;
        do {  // the CPU is always there: where it cannot be told, the reason is an error
            auto info = try_device(i);
            if (!info.ok()) return info.failure();
            devices.push_back(*info);
        } while (++i < puna_runtime_n_devices(handle()));
        return devices;
    }
    /// One of them, 0 being the CPU.
    Result<puna_device_info> try_device(std::int32_t number) const {
        return detail::value_of(puna_device_info PUNA_DEVICE_INFO_INIT,
                                [&](puna_device_info* info, puna_error* error) {
                                    return puna_runtime_device(handle(), number, info, error);
                                });
    }
    Result<std::string> try_report() const {
        return detail::text_of(
            [&](char* buffer, std::size_t capacity, std::size_t* size, puna_error* error) {
                return puna_runtime_report(handle(), buffer, capacity, size, error);
            });
    }
    Result<puna_memory_info> try_memory() const {
        return detail::value_of(puna_memory_info PUNA_MEMORY_INFO_INIT,
                                [&](puna_memory_info* info, puna_error* error) {
                                    return puna_runtime_memory(handle(), info, error);
                                });
    }
#if PUNA_HPP_EXCEPTIONS
    explicit Runtime(const RuntimeOptions& options = {})
        : Runtime(detail::unwrap(try_create(options))) {}
    void load_backend(std::string_view path) {
        detail::unwrap(try_load_backend(path));
    }
    std::vector<puna_device_info> devices() const {
        return detail::unwrap(try_devices());
    }
    puna_device_info device(std::int32_t number) const {
        return detail::unwrap(try_device(number));
    }
    std::string report() const {
        return detail::unwrap(try_report());
    }
    puna_memory_info memory() const {
        return detail::unwrap(try_memory());
    }
#endif
    puna_runtime* handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Runtime(puna_runtime* handle) : handle_(handle) {}
    detail::Owner<puna_runtime, puna_runtime_destroy> handle_;
};

// ------------------------------------------------------------------------------------------------
// Model
// ------------------------------------------------------------------------------------------------

/// Where a GGUF file comes from: a path, a range of a file, memory, or a function that reads.
class Source {
  public:
    using Read = std::function<bool(std::uint64_t offset, std::span<std::byte> buffer)>;

    Source(std::string path) : path_(std::move(path)) {}
    Source(const char* path) : path_(path) {}
    /// A GGUF inside a larger file, such as an asset pack.
    Source(std::string path, std::uint64_t offset, std::uint64_t length)
        : path_(std::move(path)), offset_(offset), length_(length) {}
    /// 64-byte aligned memory that stays valid and unchanged until the model is gone.
    explicit Source(std::span<const std::byte> memory) : memory_(memory) {}
    /// `read` fills the whole buffer and returns true, or returns false to stop the load.
    Source(std::uint64_t length, Read read)
        : length_(length), read_(std::make_shared<Callback>(std::move(read))) {}

    /// For the C call: valid while this object lives, but for the callable, which the C side
    /// shares.
    puna_source raw() const {
        puna_source source = PUNA_SOURCE_INIT;
        source.offset = offset_;
        source.length = length_;
        if (read_) {
            source.read = [](std::uint64_t offset, void* buffer, std::size_t size, void* user) {
                Callback& callback = **static_cast<std::shared_ptr<Callback>*>(user);
                const std::span<std::byte> span(static_cast<std::byte*>(buffer), size);
                return std::int32_t{callback(offset, span) ? 0 : 1};
            };
            source.user = new std::shared_ptr<Callback>(read_);
            source.release = [](void* user) {
                delete static_cast<std::shared_ptr<Callback>*>(user);
            };
        } else if (memory_.data() != nullptr) {
            source.memory = memory_.data();
            source.length = memory_.size();
        } else {
            source.path = path_.c_str();
        }
        return source;
    }
    /// Throws what the reading function threw, if it did.
    void rethrow() const {
        if (read_) read_->rethrow();
    }

  private:
    using Callback = detail::Callback<Read>;
    std::string path_;
    std::uint64_t offset_ = 0;
    std::uint64_t length_ = 0;
    std::span<const std::byte> memory_;
    std::shared_ptr<Callback> read_;
};

/// puna_model_options, and the progress as a C++ callable: false stops the load.
struct ModelOptions : puna_model_options {
    ModelOptions() : puna_model_options PUNA_MODEL_OPTIONS_INIT {}
    std::function<bool(float fraction)> on_progress;
};

/// puna_synthetic_model_options with its defaults; `on_progress` returns false to stop.
struct SyntheticModelOptions : puna_synthetic_model_options {
    SyntheticModelOptions() : puna_synthetic_model_options PUNA_SYNTHETIC_MODEL_OPTIONS_INIT {}
    std::function<bool(float fraction)> on_progress;
};

/// puna_synthetic_model_write; returns the number of files written.
inline Result<std::int32_t> try_write_synthetic_model(const SyntheticModelOptions& options,
                                                      std::string_view path) {
    detail::Callback<std::function<bool(float)>> progress(options.on_progress);
    puna_synthetic_model_options raw = options;
    if (options.on_progress) {
        raw.progress_user = &progress;
        raw.progress = [](float fraction, void* user) -> std::int32_t {
            return !(*static_cast<decltype(progress)*>(user))(fraction);
        };
    }
    auto result = detail::value_of(std::int32_t{0}, [&](std::int32_t* n_files, puna_error* error) {
        return puna_synthetic_model_write(&raw, path.data(), path.size(), n_files, error);
    });
#if PUNA_HPP_EXCEPTIONS
    progress.rethrow();
#endif
    return result;
}
#if PUNA_HPP_EXCEPTIONS
inline std::int32_t write_synthetic_model(const SyntheticModelOptions& options,
                                          std::string_view path) {
    return detail::unwrap(try_write_synthetic_model(options, path));
}
#endif

struct ContextOptions : puna_context_options {
    ContextOptions() : puna_context_options PUNA_CONTEXT_OPTIONS_INIT {}
};

struct ChatMessage {
    std::string_view role;
    std::string_view content;
};

struct ChatOptions : puna_chat_options {
    ChatOptions() : puna_chat_options PUNA_CHAT_OPTIONS_INIT {}
};

class Model {
  public:
    static Result<Model> try_load(const Runtime& runtime, std::span<const Source> sources,
                                  const ModelOptions& options = {}) {
        if (sources.size() > PUNA_MAX_SOURCES) {  // they would not be released
            return Failure{PUNA_ERROR_ARGUMENT,
                           "there are more than " + std::to_string(PUNA_MAX_SOURCES) + " sources"};
        }
        detail::Callback<std::function<bool(float)>> progress(options.on_progress);
        puna_model_options raw = options;
        if (options.on_progress) {
            raw.progress_user = &progress;
            raw.progress = [](float fraction, void* user) {
                return std::int32_t{(*static_cast<decltype(progress)*>(user))(fraction) ? 0 : 1};
            };
        }
        std::vector<puna_source> raw_sources;
        raw_sources.reserve(sources.size());
        for (const Source& source : sources) raw_sources.push_back(source.raw());
        puna_model* handle = nullptr;
        auto result = detail::checked([&](puna_error* error) {
            return puna_model_load(runtime.handle(), raw_sources.data(),
                                   detail::size32(raw_sources.size()), &raw, &handle, error);
        });
        progress.rethrow();
        for (const Source& source : sources) source.rethrow();
        if (!result.ok()) return result.failure();
        return Model(handle);
    }
    static Result<Model> try_load(const Runtime& runtime, const Source& source,
                                  const ModelOptions& options = {}) {
        return try_load(runtime, std::span(&source, 1), options);
    }
    /// With a runtime of its own, for programs that need no hooks.
    static Result<Model> try_load(const Source& source, const ModelOptions& options = {}) {
        auto runtime = Runtime::try_create();
        if (!runtime.ok()) return runtime.failure();
        return try_load(*runtime, source, options);
    }
    static Result<puna_memory_estimate> try_estimate(const Runtime& runtime, const Source& source,
                                                     const ModelOptions& model_options = {},
                                                     const ContextOptions& context_options = {}) {
        const puna_source raw = source.raw();
        auto result = detail::value_of(puna_memory_estimate PUNA_MEMORY_ESTIMATE_INIT,
                                       [&](puna_memory_estimate* estimate, puna_error* error) {
                                           return puna_model_estimate(
                                               runtime.handle(), &raw, 1, &model_options,
                                               &context_options, estimate, error);
                                       });
        source.rethrow();
        return result;
    }

    Result<puna_model_info> try_info() const {
        return detail::value_of(puna_model_info PUNA_MODEL_INFO_INIT,
                                [&](puna_model_info* info, puna_error* error) {
                                    return puna_model_get_info(handle(), info, error);
                                });
    }
    std::int32_t n_metadata() const noexcept { return puna_model_n_metadata(handle()); }
    Result<std::string> try_metadata_key(std::int32_t index) const {
        return detail::text_of(
            [&](char* buffer, std::size_t capacity, std::size_t* size, puna_error* error) {
                return puna_model_metadata_key(handle(), index, buffer, capacity, size, error);
            });
    }
    Result<std::string> try_metadata(std::string_view key) const {
        return detail::text_of(
            [&](char* buffer, std::size_t capacity, std::size_t* size, puna_error* error) {
                return puna_model_metadata_value(handle(), key.data(), key.size(), buffer, capacity,
                                                 size, error);
            });
    }
    std::int32_t n_tensors() const noexcept { return puna_model_n_tensors(handle()); }
    Result<puna_tensor_info> try_tensor(std::int32_t index) const {
        return detail::value_of(puna_tensor_info PUNA_TENSOR_INFO_INIT,
                                [&](puna_tensor_info* info, puna_error* error) {
                                    return puna_model_tensor(handle(), index, info, error);
                                });
    }
    std::int32_t n_formats() const noexcept { return puna_model_n_formats(handle()); }
    Result<puna_format_info> try_format(std::int32_t index) const {
        return detail::value_of(puna_format_info PUNA_FORMAT_INFO_INIT,
                                [&](puna_format_info* info, puna_error* error) {
                                    return puna_model_format(handle(), index, info, error);
                                });
    }

    /// `flags`: PUNA_TOKENIZE_*.
    Result<std::vector<Token>> try_tokenize(std::string_view text, std::int32_t flags = 0) const {
        const std::int32_t guess = detail::size32(text.size() / 2 + 16);
        return detail::tokens_of(guess, [&](Token* tokens, std::int32_t capacity,
                                            std::int32_t* count, puna_error* error) {
            return puna_model_tokenize(handle(), text.data(), text.size(), flags, tokens, capacity,
                                       count, error);
        });
    }
    /// `flags`: PUNA_DETOKENIZE_*.
    Result<std::string> try_detokenize(std::span<const Token> tokens,
                                       std::int32_t flags = 0) const {
        return detail::text_of(
            [&](char* buffer, std::size_t capacity, std::size_t* size, puna_error* error) {
                return puna_model_detokenize(handle(), tokens.data(), detail::size32(tokens.size()),
                                             flags, buffer, capacity, size, error);
            });
    }
    Result<puna_token_info> try_token(Token token) const {
        return detail::value_of(puna_token_info PUNA_TOKEN_INFO_INIT,
                                [&](puna_token_info* info, puna_error* error) {
                                    return puna_model_token(handle(), token, info, error);
                                });
    }
    Result<std::string> try_token_text(Token token) const {
        return detail::text_of(
            [&](char* buffer, std::size_t capacity, std::size_t* size, puna_error* error) {
                return puna_model_token_text(handle(), token, buffer, capacity, size, error);
            });
    }
    Result<Token> try_find_token(std::string_view text) const {
        return detail::value_of(Token{-1}, [&](Token* token, puna_error* error) {
            return puna_model_find_token(handle(), text.data(), text.size(), token, error);
        });
    }
    Result<std::string> try_chat_text(std::span<const ChatMessage> messages,
                                      const ChatOptions& options = {}) const {
        const auto raw = raw_messages(messages);
        return detail::text_of(
            [&](char* buffer, std::size_t capacity, std::size_t* size, puna_error* error) {
                return puna_model_chat_text(handle(), raw.data(), detail::size32(raw.size()),
                                            &options, buffer, capacity, size, error);
            });
    }
    Result<std::vector<Token>> try_chat_tokens(std::span<const ChatMessage> messages,
                                               const ChatOptions& options = {}) const {
        const auto raw = raw_messages(messages);
        return detail::tokens_of(
            0, [&](Token* tokens, std::int32_t capacity, std::int32_t* count, puna_error* error) {
                return puna_model_chat_tokens(handle(), raw.data(), detail::size32(raw.size()),
                                              &options, tokens, capacity, count, error);
            });
    }
#if PUNA_HPP_EXCEPTIONS
    Model(const Runtime& runtime, const Source& source, const ModelOptions& options = {})
        : Model(detail::unwrap(try_load(runtime, source, options))) {}
    Model(const Runtime& runtime, std::span<const Source> sources, const ModelOptions& options = {})
        : Model(detail::unwrap(try_load(runtime, sources, options))) {}
    explicit Model(const Source& source, const ModelOptions& options = {})
        : Model(detail::unwrap(try_load(source, options))) {}
    static puna_memory_estimate estimate(const Runtime& runtime, const Source& source,
                                         const ModelOptions& model_options = {},
                                         const ContextOptions& context_options = {}) {
        return detail::unwrap(try_estimate(runtime, source, model_options, context_options));
    }
    puna_model_info info() const {
        return detail::unwrap(try_info());
    }
    std::string metadata_key(std::int32_t index) const {
        return detail::unwrap(try_metadata_key(index));
    }
    std::string metadata(std::string_view key) const {
        return detail::unwrap(try_metadata(key));
    }
    puna_tensor_info tensor(std::int32_t index) const {
        return detail::unwrap(try_tensor(index));
    }
    puna_format_info format(std::int32_t index) const {
        return detail::unwrap(try_format(index));
    }
    std::vector<Token> tokenize(std::string_view text, std::int32_t flags = 0) const {
        return detail::unwrap(try_tokenize(text, flags));
    }
    std::string detokenize(std::span<const Token> tokens, std::int32_t flags = 0) const {
        return detail::unwrap(try_detokenize(tokens, flags));
    }
    puna_token_info token(Token token) const {
        return detail::unwrap(try_token(token));
    }
    std::string token_text(Token token) const {
        return detail::unwrap(try_token_text(token));
    }
    Token find_token(std::string_view text) const {
        return detail::unwrap(try_find_token(text));
    }
    std::string chat_text(std::span<const ChatMessage> messages,
                          const ChatOptions& options = {}) const {
        return detail::unwrap(try_chat_text(messages, options));
    }
    std::vector<Token> chat_tokens(std::span<const ChatMessage> messages,
                                   const ChatOptions& options = {}) const {
        return detail::unwrap(try_chat_tokens(messages, options));
    }
#endif
    puna_model* handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Model(puna_model* handle) : handle_(handle) {}
    static std::vector<puna_chat_message> raw_messages(std::span<const ChatMessage> messages) {
        std::vector<puna_chat_message> raw;
        raw.reserve(messages.size());
        for (const ChatMessage& message : messages) {
            raw.push_back({message.role.data(), message.role.size(), message.content.data(),
                           message.content.size()});
        }
        return raw;
    }
    detail::Owner<puna_model, puna_model_destroy> handle_;
};

class Adapter {
  public:
    static Result<Adapter> try_load(const Model& model, const Source& source) {
        const puna_source raw = source.raw();
        puna_adapter* handle = nullptr;
        auto result = detail::checked([&](puna_error* error) {
            return puna_adapter_load(model.handle(), &raw, 1, &handle, error);
        });
        source.rethrow();
        if (!result.ok()) return result.failure();
        return Adapter(handle);
    }
#if PUNA_HPP_EXCEPTIONS
    Adapter(const Model& model, const Source& source)
        : Adapter(detail::unwrap(try_load(model, source))) {}
#endif
    puna_adapter* handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Adapter(puna_adapter* handle) : handle_(handle) {}
    detail::Owner<puna_adapter, puna_adapter_destroy> handle_;
};

// ------------------------------------------------------------------------------------------------
// Generation
// ------------------------------------------------------------------------------------------------

/// puna_generation_options; the arrays as C++ containers.
struct GenerationOptions : puna_generation_options {
    GenerationOptions() : puna_generation_options PUNA_GENERATION_OPTIONS_INIT {}
    std::vector<std::string> stop;
    std::vector<puna_logit_bias> bias;
    std::string gbnf_or_schema;  ///< for `grammar`; which of the two: grammar_kind
};

/// puna_event with spans. All views hold until the next call on the same generation.
struct Event {
    std::int32_t kind = PUNA_EVENT_PENDING;
    Token token = -1;
    std::int32_t finish = PUNA_FINISH_NONE;
    std::int32_t stop_index = -1;
    std::int32_t n_prefill = 0;
    std::int32_t n_prefill_done = 0;
    std::int32_t n_generated = 0;
    std::int32_t n_sequence = 0;
    float logprob = 0;
    std::string_view text;
    std::span<const puna_logprob> logprobs;
    std::span<const float> logits;

    bool pending() const noexcept { return kind == PUNA_EVENT_PENDING; }
    bool done() const noexcept { return kind == PUNA_EVENT_DONE; }
};

class Generation {
  public:
    /// A budget that is spent fetches only what is queued.
    Result<Event> try_next(Budget budget = kNoLimit) {
        const std::int32_t budget_us = detail::microseconds(budget, PUNA_BUDGET_POLL);
        puna_event raw = PUNA_EVENT_INIT;
        auto result = detail::checked([&](puna_error* error) {
            return puna_generation_next(handle(), budget_us, &raw, error);
        });
        if (!result.ok()) return result.failure();
        return Event{raw.kind,
                     raw.token,
                     raw.finish,
                     raw.stop_index,
                     raw.n_prefill,
                     raw.n_prefill_done,
                     raw.n_generated,
                     raw.n_sequence,
                     raw.logprob,
                     {raw.text, raw.text_size},
                     {raw.logprobs, static_cast<std::size_t>(raw.n_logprobs)},
                     {raw.logits, static_cast<std::size_t>(raw.n_logits)}};
    }
    Result<void> try_pause(bool paused) {
        return detail::checked([&](puna_error* error) {
            return puna_generation_pause(handle(), paused ? 1 : 0, error);
        });
    }
    Result<void> try_accept(Token token) {
        return detail::checked(
            [&](puna_error* error) { return puna_generation_accept(handle(), token, error); });
    }
    Result<puna_generation_info> try_info() const {
        return detail::value_of(puna_generation_info PUNA_GENERATION_INFO_INIT,
                                [&](puna_generation_info* info, puna_error* error) {
                                    return puna_generation_get_info(handle(), info, error);
                                });
    }
    /// All remaining text, to the end of the generation. STATE while it is paused.
    Result<std::string> try_text() {
        std::string text;
        for (;;) {
            auto event = try_next();
            if (!event.ok()) return event.failure();
            if (event->pending()) return Failure{PUNA_ERROR_STATE, "the generation is paused"};
            if (event->done()) return text;
            text += event->text;
        }
    }
#if PUNA_HPP_EXCEPTIONS
    Event next(Budget budget = kNoLimit) {
        return detail::unwrap(try_next(budget));
    }
    void pause(bool paused) {
        detail::unwrap(try_pause(paused));
    }
    void accept(Token token) {
        detail::unwrap(try_accept(token));
    }
    puna_generation_info info() const {
        return detail::unwrap(try_info());
    }
    std::string text() {
        return detail::unwrap(try_text());
    }

    /// Iterates over the events that are left, without DONE; throws puna::Error.
    class Iterator {
      public:
        using iterator_concept = std::input_iterator_tag;
        using difference_type = std::ptrdiff_t;
        using value_type = Event;

        Iterator() = default;
        explicit Iterator(Generation& generation) : generation_(&generation) { ++*this; }
        const Event& operator*() const { return event_; }
        Iterator& operator++() {
            event_ = generation_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const { return event_.done(); }

      private:
        Generation* generation_ = nullptr;
        Event event_;
    };
    Iterator begin() {
        return Iterator(*this);
    }
    std::default_sentinel_t end() const {
        return {};
    }
#endif
    puna_generation* handle() const noexcept {
        return handle_.get();
    }

  private:
    friend class Sequence;
    explicit Generation(puna_generation* handle) : handle_(handle) {}
    detail::Owner<puna_generation, puna_generation_destroy> handle_;
};

// ------------------------------------------------------------------------------------------------
// Sequence and context
// ------------------------------------------------------------------------------------------------

class Sequence {
  public:
    Result<Sequence> try_fork() {
        puna_sequence* handle = nullptr;
        auto result = detail::checked(
            [&](puna_error* error) { return puna_sequence_fork(this->handle(), &handle, error); });
        if (!result.ok()) return result.failure();
        return Sequence(handle);
    }
    Result<void> try_truncate(std::int32_t n_tokens) {
        return detail::checked(
            [&](puna_error* error) { return puna_sequence_truncate(handle(), n_tokens, error); });
    }
    Result<void> try_drop(std::int32_t first, std::int32_t n_tokens) {
        return detail::checked([&](puna_error* error) {
            return puna_sequence_drop(handle(), first, n_tokens, error);
        });
    }
    Result<void> try_set_adapter(const Adapter* adapter, float scale = 1) {
        return detail::checked([&](puna_error* error) {
            return puna_sequence_set_adapter(handle(), adapter ? adapter->handle() : nullptr, scale,
                                             error);
        });
    }
    Result<std::int32_t> try_length() const {
        return detail::value_of(std::int32_t{0}, [&](std::int32_t* length, puna_error* error) {
            return puna_sequence_length(handle(), length, error);
        });
    }
    Result<std::vector<Token>> try_tokens() const {
        return detail::tokens_of(
            0, [&](Token* tokens, std::int32_t capacity, std::int32_t* count, puna_error* error) {
                return puna_sequence_tokens(handle(), tokens, capacity, count, error);
            });
    }
    /// `out` gets the rows that `output` (PUNA_OUTPUT_*) asks for.
    Result<void> try_evaluate(std::span<const Token> tokens, std::span<float> out = {},
                              std::int32_t output = PUNA_OUTPUT_DEFAULT,
                              const Cancel* cancel = nullptr, bool normalize = false) {
        puna_evaluate_options options = PUNA_EVALUATE_OPTIONS_INIT;
        options.output = output;
        options.normalize = normalize ? 1 : 0;
        options.cancel = cancel ? cancel->handle() : nullptr;
        return detail::checked([&](puna_error* error) {
            return puna_sequence_evaluate(handle(), tokens.data(), detail::size32(tokens.size()),
                                          &options, out.data(), out.size_bytes(), error);
        });
    }
    Result<std::vector<std::byte>> try_save() {
        std::vector<std::byte> state;
        std::size_t size = 0;
        auto save = [&](puna_error* error) {
            return puna_sequence_save(handle(), state.data(), state.size(), &size, error);
        };
        auto result = detail::checked(save);
        if (!result.ok()) return result.failure();
        state.resize(size);
        result = detail::checked(save);
        if (!result.ok()) return result.failure();
        return state;
    }
    Result<void> try_restore(std::span<const std::byte> state) {
        return detail::checked([&](puna_error* error) {
            return puna_sequence_restore(handle(), state.data(), state.size(), error);
        });
    }
    Result<Generation> try_generate(std::span<const Token> prompt,
                                    const GenerationOptions& options = {}) {
        return start(options, [&](const puna_generation_options* raw, puna_generation** handle,
                                  puna_error* error) {
            return puna_generation_start(this->handle(), prompt.data(),
                                         detail::size32(prompt.size()), raw, handle, error);
        });
    }
    /// Continues the sequence as it stands.
    Result<Generation> try_generate(const GenerationOptions& options) {
        return try_generate(std::span<const Token>(), options);
    }
    Result<Generation> try_generate(std::string_view prompt, const GenerationOptions& options = {},
                                    std::int32_t tokenize_flags = 0) {
        return start(options, [&](const puna_generation_options* raw, puna_generation** handle,
                                  puna_error* error) {
            return puna_generation_start_text(this->handle(), prompt.data(), prompt.size(),
                                              tokenize_flags, raw, handle, error);
        });
    }
#if PUNA_HPP_EXCEPTIONS
    Sequence fork() {
        return detail::unwrap(try_fork());
    }
    void truncate(std::int32_t n_tokens) {
        detail::unwrap(try_truncate(n_tokens));
    }
    void drop(std::int32_t first, std::int32_t n_tokens) {
        detail::unwrap(try_drop(first, n_tokens));
    }
    void set_adapter(const Adapter* adapter, float scale = 1) {
        detail::unwrap(try_set_adapter(adapter, scale));
    }
    std::int32_t length() const {
        return detail::unwrap(try_length());
    }
    std::vector<Token> tokens() const {
        return detail::unwrap(try_tokens());
    }
    void evaluate(std::span<const Token> tokens, std::span<float> out = {},
                  std::int32_t output = PUNA_OUTPUT_DEFAULT, const Cancel* cancel = nullptr,
                  bool normalize = false) {
        detail::unwrap(try_evaluate(tokens, out, output, cancel, normalize));
    }
    std::vector<std::byte> save() {
        return detail::unwrap(try_save());
    }
    void restore(std::span<const std::byte> state) {
        detail::unwrap(try_restore(state));
    }
    Generation generate(std::span<const Token> prompt, const GenerationOptions& options = {}) {
        return detail::unwrap(try_generate(prompt, options));
    }
    Generation generate(const GenerationOptions& options) {
        return detail::unwrap(try_generate(options));
    }
    Generation generate(std::string_view prompt, const GenerationOptions& options = {},
                        std::int32_t tokenize_flags = 0) {
        return detail::unwrap(try_generate(prompt, options, tokenize_flags));
    }
#endif
    puna_sequence* handle() const noexcept {
        return handle_.get();
    }

  private:
    friend class Context;
    explicit Sequence(puna_sequence* handle) : handle_(handle) {}

    template <class Start>
    Result<Generation> start(const GenerationOptions& options, Start&& call) {
        std::vector<const char*> stops;
        std::vector<std::size_t> stop_sizes;
        for (const std::string& stop : options.stop) {
            stops.push_back(stop.data());
            stop_sizes.push_back(stop.size());
        }
        puna_generation_options raw = options;
        if (!stops.empty()) {
            raw.stops = stops.data();
            raw.stop_sizes = stop_sizes.data();
            raw.n_stops = detail::size32(stops.size());
        }
        if (!options.bias.empty()) {
            raw.logit_bias = options.bias.data();
            raw.n_logit_bias = detail::size32(options.bias.size());
        }
        if (!options.gbnf_or_schema.empty()) raw.grammar = options.gbnf_or_schema.c_str();
        puna_generation* handle = nullptr;
        auto result =
            detail::checked([&](puna_error* error) { return call(&raw, &handle, error); });
        if (!result.ok()) return result.failure();
        return Generation(handle);
    }
    detail::Owner<puna_sequence, puna_sequence_destroy> handle_;
};

/// Generations after a step: with an event to fetch, and that can still go on.
struct StepCounts {
    std::int32_t n_ready = 0;
    std::int32_t n_active = 0;
};

class Context {
  public:
    static Result<Context> try_create(const Model& model, const ContextOptions& options = {}) {
        puna_context* handle = nullptr;
        auto result = detail::checked([&](puna_error* error) {
            return puna_context_create(model.handle(), &options, &handle, error);
        });
        if (!result.ok()) return result.failure();
        return Context(handle);
    }
    Result<Sequence> try_sequence() {
        puna_sequence* handle = nullptr;
        auto result = detail::checked([&](puna_error* error) {
            return puna_sequence_create(this->handle(), &handle, error);
        });
        if (!result.ok()) return result.failure();
        return Sequence(handle);
    }
    /// A budget that is spent runs one layer, as every step does at least.
    Result<StepCounts> try_step(Budget budget = kNoLimit) {
        const std::int32_t budget_us = detail::microseconds(budget, 1);
        return detail::value_of(StepCounts{}, [&](StepCounts* counts, puna_error* error) {
            return puna_context_step(handle(), budget_us, &counts->n_ready, &counts->n_active,
                                     error);
        });
    }
    Result<void> try_warm_up() {
        return detail::checked(
            [&](puna_error* error) { return puna_context_warm_up(handle(), error); });
    }
    Result<void> try_reset() {
        return detail::checked(
            [&](puna_error* error) { return puna_context_reset(handle(), error); });
    }
    Result<puna_context_info> try_info() const {
        return detail::value_of(puna_context_info PUNA_CONTEXT_INFO_INIT,
                                [&](puna_context_info* info, puna_error* error) {
                                    return puna_context_get_info(handle(), info, error);
                                });
    }
#if PUNA_HPP_EXCEPTIONS
    explicit Context(const Model& model, const ContextOptions& options = {})
        : Context(detail::unwrap(try_create(model, options))) {}
    Sequence sequence() {
        return detail::unwrap(try_sequence());
    }
    StepCounts step(Budget budget = kNoLimit) {
        return detail::unwrap(try_step(budget));
    }
    void warm_up() {
        detail::unwrap(try_warm_up());
    }
    void reset() {
        detail::unwrap(try_reset());
    }
    puna_context_info info() const {
        return detail::unwrap(try_info());
    }
#endif
    puna_context* handle() const noexcept {
        return handle_.get();
    }

  private:
    explicit Context(puna_context* handle) : handle_(handle) {}
    detail::Owner<puna_context, puna_context_destroy> handle_;
};

}  // namespace puna
