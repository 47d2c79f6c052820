/* puna.h - run small Llama-family language models inside your own program.
 *
 * SPDX-License-Identifier: MIT
 *
 * The whole contract of the library: C99, opaque handles, nothing else is exported. The C++ API
 * (puna.hpp) is a thin layer over this file.
 *
 * From a file to text, without the error checks:
 *
 *     puna_runtime_create(NULL, &runtime, &error);
 *     puna_source source = PUNA_SOURCE_INIT;
 *     source.path = "tinyllama.gguf";
 *     puna_model_load(runtime, &source, 1, NULL, &model, &error);
 *     puna_context_create(model, NULL, &context, &error);
 *     puna_sequence_create(context, &sequence, &error);
 *     puna_generation_start_text(sequence, "Once upon a time", PUNA_NUL_TERMINATED, 0, NULL,
 *                                &generation, &error);
 *     puna_event event = PUNA_EVENT_INIT;
 *     while (puna_generation_next(generation, 0, &event, &error) == PUNA_OK &&
 *            event.kind != PUNA_EVENT_DONE)
 *         fwrite(event.text, 1, event.text_size, stdout);
 *
 * Rules that hold for every function
 * ----------------------------------
 * Status. 0 (PUNA_OK) is success, a negative value a failure; positive values do not occur. Every
 *   fallible call but the _init ones takes a caller-owned puna_error* last, which may be NULL.
 *   Besides the errors that a function lists, every one can return PUNA_ERROR_ARGUMENT (a NULL or
 *   out-of-range argument), PUNA_ERROR_OUT_OF_MEMORY, PUNA_ERROR_FORKED (called in a child of fork()
 *   on a handle of the parent) and PUNA_ERROR_INTERNAL (a defect of puna). Nothing prints, aborts,
 *   exits or throws.
 * State after failure. Unless its text says otherwise, a call that fails changed nothing.
 * Option structs. Set `struct_size` with the PUNA_..._INIT macro or the matching _init function,
 *   then only what you need: zero is the default of every field, and a NULL pointer in place of the
 *   struct means all defaults. Fields may be appended in later versions; a larger struct from a
 *   newer header is accepted as long as the fields this library does not know are zero, and refused
 *   with PUNA_ERROR_UNSUPPORTED otherwise. A struct_size below 4 is an ARGUMENT error. Pointers
 *   inside are read during the call only, except hooks and what a source names by `memory`, `read`
 *   and `user`, which live until their release.
 * Output structs. The caller sets `struct_size` (again: PUNA_..._INIT); the library fills what fits
 *   and sets `struct_size` to the number of bytes it filled, the same on every call. Zeroes and a
 *   struct_size are as good as the macro.
 * Text. UTF-8, file paths included, on every platform. Text passed in is pointer and size in bytes;
 *   the size PUNA_NUL_TERMINATED, (size_t)-1, means "up to the first NUL"; so does every other size
 *   above SIZE_MAX / 2, none of which is a real size. Embedded NULs are legal. Character arrays in
 *   output structs are NUL-terminated, valid UTF-8, cut at a whole character.
 * Buffers. Functions that write text take (buffer, capacity, &needed): `needed` (may be NULL)
 *   receives the full size in bytes without the NUL that is always written after the text; a
 *   capacity that does not hold text and NUL gives PUNA_ERROR_BUFFER and an untouched buffer.
 *   Capacity 0 with a NULL buffer asks for the size and succeeds. Token buffers work alike, counted
 *   in tokens, without a NUL. A pointer whose size or count is 0 may be NULL and is not read.
 * Ownership. `create`, `load`, `start` and `fork` hand out a reference that you give back with the
 *   matching `destroy`, which accepts NULL. Children keep their parents alive, so any order of
 *   destroying is correct, and a generation goes on working after the handles of its sequence,
 *   context, model and runtime were destroyed. The library never returns memory that the caller
 *   must free.
 * Threads. Each function has one of these tags:
 *   [any thread]  callable at any time from any thread, also at the same time;
 *   [one thread]  one thread at a time per context, its sequences and generations included: a
 *                 second thread gets PUNA_ERROR_BUSY at once, and so does a callback that calls
 *                 back into the context it runs under. Successive calls may come from different
 *                 threads;
 *   [destroy]     callable from any thread. When another thread is inside a call on that handle (or
 *                 on a child of a context or sequence), that call is cancelled, returns
 *                 PUNA_ERROR_CANCELLED within one layer, and destroy waits for it; a generation
 *                 that was being advanced by it has ended then. When nobody is inside such a call,
 *                 destroying a context or sequence only gives a reference back. Inside a callback
 *                 of such a call the release happens when the call returns. No handle may be passed
 *                 to a function after its own destroy. In a child of fork() destroying does nothing.
 *                 A binding for a language with finalizers has each child keep the wrappers of its
 *                 parents alive, and cancels with a puna_cancel.
 * Hooks. `read` and `progress` run on the thread inside load. `log`, `parallel` and `release` run on
 *   a thread that is inside a puna call (`release`: the one that drops the last reference, which may
 *   be a finalizer's thread inside a destroy). `alloc` and `free` run on any thread inside a puna
 *   call. Parts of a parallel phase run on puna's own threads too. Nothing runs while no puna call
 *   is in progress, and after the last destroy no thread of puna exists, so the library may be
 *   unloaded. A hook returns normally: no exception, longjmp or thread exit passes through puna.
 * Newer values. Enumerations may grow: treat an unknown status as a failure and an unknown finish
 *   as an error. An event kind that no option asked for does not occur. While PUNA_ABI_VERSION is
 *   0, header and library must have equal major and minor versions.
 * Not carried out yet, and refused with PUNA_ERROR_UNSUPPORTED: chat templates, adapters, grammars,
 *   n_draft, PUNA_WEIGHTS_REPACKED.
 * File names. libpuna.so.0 on Linux, libpuna.0.dylib on macOS, libpuna.dll on Windows; the number is
 *   PUNA_ABI_VERSION.
 * Lifetime of a declaration. Everything here is since 0.1; later additions say so.
 */
#ifndef PUNA_H
#define PUNA_H

#include <stddef.h>
#include <stdint.h>

#define PUNA_VERSION_MAJOR 0
#define PUNA_VERSION_MINOR 1
#define PUNA_VERSION_PATCH 0
/* Number of the binary interface, the SONAME's. 0: no promise yet; from 1 on only additions. */
#define PUNA_ABI_VERSION 0

#if !defined(PUNA_CALL)
#if defined(_WIN32)
#define PUNA_CALL __cdecl
#else
#define PUNA_CALL
#endif
#endif
#if !defined(PUNA_API)
#if defined(_WIN32)
#if defined(PUNA_STATIC)
#define PUNA_API
#elif defined(PUNA_BUILD)
#define PUNA_API __declspec(dllexport)
#else
#define PUNA_API __declspec(dllimport)
#endif
#else
#if defined(__GNUC__)
#define PUNA_API __attribute__((visibility("default")))
#else
#define PUNA_API
#endif
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------
 * Status and errors
 * --------------------------------------------------------------------------------------------- */

typedef int32_t puna_status;

enum puna_status_code {
    PUNA_OK = 0,
    /* arguments */
    PUNA_ERROR_ARGUMENT = -1,    /* an argument or option is out of its range; the text names it */
    PUNA_ERROR_UNSUPPORTED = -2, /* this library or build does not know the option or feature */
    PUNA_ERROR_BUFFER = -3,      /* the caller's buffer is too small; the needed size was written */
    PUNA_ERROR_STATE = -4,       /* the call does not fit what the handle is doing */
    PUNA_ERROR_NOT_FOUND = -5,   /* no such key, tensor, token or device */
    /* resources */
    PUNA_ERROR_OUT_OF_MEMORY = -20,
    PUNA_ERROR_IO = -21,     /* the file could not be opened, read or mapped */
    PUNA_ERROR_THREAD = -22, /* a thread could not be started */
    PUNA_ERROR_FORKED = -23, /* called in a child of fork(); handles do not survive it */
    /* file and format */
    PUNA_ERROR_FORMAT = -40,         /* not a file of the expected kind, or a damaged one */
    PUNA_ERROR_TRUNCATED = -41,      /* the file ends before its contents do */
    PUNA_ERROR_FORMAT_VERSION = -42, /* a version of the format that this library does not read */
    PUNA_ERROR_FOREIGN_STATE = -43,  /* a saved state of another model or configuration */
    PUNA_ERROR_SYNTAX = -44,         /* a grammar or template does not parse; text has position */
    /* model support */
    PUNA_ERROR_MODEL = -60,             /* a key or tensor is missing or contradicts the others */
    PUNA_ERROR_MODEL_UNSUPPORTED = -61, /* a family, key, tensor type or tokenizer not supported */
    /* execution */
    PUNA_ERROR_CONTEXT_FULL = -80,     /* a sequence would have more than n_ctx tokens */
    PUNA_ERROR_CANCELLED = -81,        /* a puna_cancel was triggered or the handle destroyed */
    PUNA_ERROR_CALLBACK_STOPPED = -82, /* a callback returned non-zero */
    PUNA_ERROR_BUSY = -83,             /* another thread is inside a call on this context */
    PUNA_ERROR_INTERNAL = -84,         /* a defect of the library; the text says where */
    PUNA_ERROR_NO_CELLS = -85,         /* all KV cells of the context are in use: destroy or
                                          truncate a sequence, or make n_cells larger */
    /* backend */
    PUNA_ERROR_BACKEND = -100,         /* the device or its driver failed */
    PUNA_ERROR_NO_DEVICE = -101,       /* no such device on this machine; the text says why */
    PUNA_ERROR_BACKEND_VERSION = -102, /* the plugin does not fit this library or driver */
    PUNA_ERROR_DEVICE_MEMORY = -103    /* the device has not enough memory left */
};

/* Size in bytes of the text of a puna_error, with its NUL. */
#define PUNA_ERROR_MESSAGE_SIZE 256

/* What went wrong. Owned by the caller, nothing to free; reusable for any number of calls. A
 * call that succeeds sets status to PUNA_OK and the text to "". The text is one line of UTF-8 that
 * names the file, key, tensor or option and what to do. A struct_size of 0 is read as the size of
 * this first version, so `puna_error error = {0};` works too. */
typedef struct puna_error {
    uint32_t struct_size;
    puna_status status;
    char message[PUNA_ERROR_MESSAGE_SIZE];
} puna_error;
#define PUNA_ERROR_INIT                    \
    {                                      \
        (uint32_t)sizeof(puna_error), 0, { \
            0                              \
        }                                  \
    }

/* [any thread] Version of the library, "0.1.0"; static storage. */
PUNA_API const char* PUNA_CALL puna_version(void);
/* [any thread] PUNA_ABI_VERSION of the library that is loaded; bindings compare it at load. */
PUNA_API int32_t PUNA_CALL puna_abi_version(void);
/* [any thread] "PUNA_ERROR_BUSY" for -83 and so on; "PUNA_ERROR_UNKNOWN" for other values. Static
 * storage. */
PUNA_API const char* PUNA_CALL puna_status_name(puna_status status);

/* "The text ends at its first NUL": a size for every function that takes text. */
#define PUNA_NUL_TERMINATED ((size_t)-1)

typedef struct puna_runtime puna_runtime;   /* allocator, logger, threads, backends */
typedef struct puna_model puna_model;       /* weights and tokenizer; immutable, shared freely */
typedef struct puna_adapter puna_adapter;   /* a LoRA adapter of one model */
typedef struct puna_context puna_context;   /* KV cache and scratch; where evaluation happens */
typedef struct puna_sequence puna_sequence; /* a text in a context: tokens and their KV cells */
typedef struct puna_generation puna_generation; /* a sequence being continued by sampling */
typedef struct puna_cancel puna_cancel;         /* a flag that stops work from another thread */

/* ------------------------------------------------------------------------------------------------
 * Cancelling
 * --------------------------------------------------------------------------------------------- */

/* [any thread] Makes an untriggered cancel object. It is given to calls through their options; the
 * work holds its own reference, so it may be destroyed at any time. */
PUNA_API puna_status PUNA_CALL puna_cancel_create(puna_cancel** cancel, puna_error* error);
/* [any thread] Gives the reference back. Does not trigger. NULL does nothing. */
PUNA_API void PUNA_CALL puna_cancel_destroy(puna_cancel* cancel);
/* [any thread] Stops everything that was given this object: at most one layer more is evaluated.
 * Sticky until reset, so a trigger that comes just before the call is not lost. Safe in a signal
 * handler. NULL does nothing. */
PUNA_API void PUNA_CALL puna_cancel_trigger(puna_cancel* cancel);
/* [any thread] Takes the trigger back; work that it ended stays ended. NULL does nothing. */
PUNA_API void PUNA_CALL puna_cancel_reset(puna_cancel* cancel);
/* [any thread] 1 when triggered, 0 when not; 0 for NULL. */
PUNA_API int32_t PUNA_CALL puna_cancel_is_triggered(const puna_cancel* cancel);

/* ------------------------------------------------------------------------------------------------
 * Runtime
 * --------------------------------------------------------------------------------------------- */

enum puna_log_level {
    PUNA_LOG_DEFAULT = 0, /* PUNA_LOG_WARNING */
    PUNA_LOG_ERROR = 1,
    PUNA_LOG_WARNING = 2,
    PUNA_LOG_INFO = 3,
    PUNA_LOG_DEBUG = 4
};

/* Memory for weights that are not mapped, KV cache, scratch buffers and KV pages. `alignment` is a
 * power of two, at most 4096. Returns NULL when there is none. Called from any thread. */
typedef void*(PUNA_CALL* puna_alloc_fn)(size_t size, size_t alignment, void* user);
/* Gets the size and alignment that the block was asked with; `memory` is never NULL. */
typedef void(PUNA_CALL* puna_free_fn)(void* memory, size_t size, size_t alignment, void* user);
/* One line without newline; `text` is also NUL-terminated. Called on a thread that is inside a puna
 * call, while no lock is held; two threads may be in it at once. */
typedef void(PUNA_CALL* puna_log_fn)(int32_t level, const char* text, size_t size, void* user);
/* One part of a parallel phase: `part` counts from 0. */
typedef void(PUNA_CALL* puna_part_fn)(int32_t part, void* argument);
/* Runs part(0, argument) to part(n_parts - 1, argument), each once, on at most max_threads threads
 * at a time, and returns when all are done; it cannot fail. The parts do not wait for each other,
 * so running them one after the other is correct. They never call back into puna or the allocator
 * and need at most 256 KiB of stack; floating point must be in its default mode. */
typedef void(PUNA_CALL* puna_parallel_fn)(int32_t n_parts, int32_t max_threads, puna_part_fn part,
                                          void* argument, void* user);
/* Called exactly once, when the last object that needs `user` is gone. Also when the call that was
 * given it fails, whatever the error, and then before it returns; except when the structs are refused
 * as such (struct_size, unknown fields, their number) or not reached because an argument is NULL. */
typedef void(PUNA_CALL* puna_release_fn)(void* user);

#define PUNA_MAX_THREADS 512

typedef struct puna_runtime_options {
    uint32_t struct_size;
    /* Threads that work on one batch, the caller included; 1 creates no thread. 0: the physical
     * cores that the affinity mask and the cgroup quota leave to this process. At most
     * PUNA_MAX_THREADS. */
    int32_t n_threads;
    /* The most verbose PUNA_LOG_* level that reaches `log`. */
    int32_t log_level;
    /* 1: do not look for backend plugins (libpuna-cuda) beside the library. 0: that happens when
     * devices, the report or layers on a GPU are first asked for, or a plugin is loaded, not before. */
    int32_t disable_backend_search;
    /* Allocator: both or neither. */
    puna_alloc_fn alloc;
    puna_free_fn free;
    void* alloc_user;
    puna_release_fn alloc_release;
    /* Logger. NULL: silence. Detached by puna_runtime_destroy at once. */
    puna_log_fn log;
    void* log_user;
    puna_release_fn log_release;
    /* Takes the place of puna's own threads; n_threads is then the cap that is passed to it. */
    puna_parallel_fn parallel;
    void* parallel_user;
    puna_release_fn parallel_release;
    /* CPU kernel set: "scalar", "avx2", "avx2_vnni", "avx512", "avx512_gfni",
     * "avx512_bf16", "amx", "neon", "neon_i8mm". NULL:
     * the variable PUNA_KERNELS if set and not empty, else the best that CPU and OS allow. A name that
     * this CPU or build lacks is PUNA_ERROR_UNSUPPORTED. "amx", the best where it runs, asks the OS
     * for tile registers: from then on sigaltstack of Linux wants some 11 KB in this process. */
    const char* kernels;
    /* Must be NULL. */
    const void* reserved;
} puna_runtime_options;
#define PUNA_RUNTIME_OPTIONS_INIT \
    { (uint32_t)sizeof(puna_runtime_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* [any thread] Fills `options` with the defaults: `size` is sizeof in the caller's header. For
 * callers that cannot use the _INIT macros. One such function stands beside each option struct. */
PUNA_API puna_status PUNA_CALL puna_runtime_options_init(puna_runtime_options* options,
                                                         size_t size);

/* [any thread] Makes a runtime. Two runtimes share nothing. The hooks are kept until their release.
 * Errors: UNSUPPORTED (unknown kernel set, or one this CPU lacks), THREAD. */
PUNA_API puna_status PUNA_CALL puna_runtime_create(const puna_runtime_options* options,
                                                   puna_runtime** runtime, puna_error* error);
/* [destroy] The logger is silent from here on (a log call in progress on another thread is waited
 * for); models made from the runtime keep the rest alive. */
PUNA_API void PUNA_CALL puna_runtime_destroy(puna_runtime* runtime);

/* [any thread] Opens a backend plugin by path and adds its devices. Errors: IO (cannot be opened;
 * the text has the loader's reason), BACKEND_VERSION, NO_DEVICE. */
PUNA_API puna_status PUNA_CALL puna_runtime_load_backend(puna_runtime* runtime, const char* path,
                                                         size_t path_size, puna_error* error);

typedef struct puna_device_info {
    uint32_t struct_size;
    int32_t is_gpu;
    uint64_t total_bytes; /* memory of the device; 0 if unknown */
    uint64_t free_bytes;  /* 0 if unknown; asking a GPU creates its context in this process */
    char backend[32];     /* "cpu", "cuda" */
    char name[96];        /* as the driver or the CPU calls itself */
    char kernels[32];     /* CPU: the kernel set in force; GPU: the compute capability */
} puna_device_info;
#define PUNA_DEVICE_INFO_INIT                                    \
    {                                                            \
        (uint32_t)sizeof(puna_device_info), 0, 0, 0, {0}, {0}, { \
            0                                                    \
        }                                                        \
    }

/* [any thread] Number of devices; device 0 is the CPU. 0 for NULL and in a forked child. */
PUNA_API int32_t PUNA_CALL puna_runtime_n_devices(const puna_runtime* runtime);
/* [any thread] Errors: NOT_FOUND (no such device). */
PUNA_API puna_status PUNA_CALL puna_runtime_device(const puna_runtime* runtime, int32_t device,
                                                   puna_device_info* info, puna_error* error);
/* [any thread] What was found and why something was not: one line of text per backend that is in
 * use or was looked for, separated by newlines, such as "cpu: avx512, 2 threads" and "cuda: no device:
 * libpuna-cuda is not in DIR". */
PUNA_API puna_status PUNA_CALL puna_runtime_report(const puna_runtime* runtime, char* buffer,
                                                   size_t capacity, size_t* needed,
                                                   puna_error* error);

typedef struct puna_memory_info {
    uint32_t struct_size;
    int32_t n_threads;        /* threads of the pool, the caller's included */
    uint64_t allocated_bytes; /* now held through the allocator, by everything of this runtime */
    uint64_t peak_bytes;      /* the most ever held */
    uint64_t mapped_bytes;    /* model files mapped; shared with the page cache */
} puna_memory_info;
#define PUNA_MEMORY_INFO_INIT \
    { (uint32_t)sizeof(puna_memory_info), 0, 0, 0, 0 }

/* [any thread] What the objects of a runtime hold in host memory. */
PUNA_API puna_status PUNA_CALL puna_runtime_memory(const puna_runtime* runtime,
                                                   puna_memory_info* info, puna_error* error);

/* ------------------------------------------------------------------------------------------------
 * Model
 * --------------------------------------------------------------------------------------------- */

/* Reads `size` bytes at `offset` of the source into `buffer`; all or nothing. Non-zero stops the
 * load with PUNA_ERROR_CALLBACK_STOPPED. Called during load only, on the loading thread. */
typedef int32_t(PUNA_CALL* puna_read_fn)(uint64_t offset, void* buffer, size_t size, void* user);

/* The sources of one model are at most so many. */
#define PUNA_MAX_SOURCES 256

/* Where one GGUF file comes from: exactly one of `path`, `memory` and `read` is set. `release` is
 * called once for each call that is given the source, estimate included: a source with a `release`
 * that frees something is good for one call. */
typedef struct puna_source {
    uint32_t struct_size;
    int32_t reserved; /* must be 0 */
    /* With a path: the GGUF begins at `offset` of the file; length 0 means up to its end. It is
     * used in place when offset is a multiple of 64, and read into memory otherwise. With memory
     * and read: offset must be 0 and `length` is the size of the GGUF in bytes. */
    uint64_t offset;
    uint64_t length;
    const char* path; /* NUL-terminated */
    /* The GGUF in memory, 64-byte aligned, used in place and unchanged until `release`. */
    const void* memory;
    puna_read_fn read;
    void* user;              /* passed to `read` and `release` */
    puna_release_fn release; /* may be NULL */
    const void* reserved2;   /* must be NULL */
} puna_source;
#define PUNA_SOURCE_INIT \
    { (uint32_t)sizeof(puna_source), 0, 0, 0, 0, 0, 0, 0, 0, 0 }
PUNA_API puna_status PUNA_CALL puna_source_init(puna_source* source, size_t size);

/* `fraction` rises from 0 to 1; called at least 20 times in a load. Non-zero stops the load. */
typedef int32_t(PUNA_CALL* puna_progress_fn)(float fraction, void* user);

enum puna_weights_layout {
    PUNA_WEIGHTS_DEFAULT = 0, /* in place, as the file has them */
    PUNA_WEIGHTS_REPACKED = 1 /* a second layout for speed; costs load time and memory */
};

enum puna_gpu_layers { PUNA_GPU_LAYERS_ALL = -1 };

typedef struct puna_model_options {
    uint32_t struct_size;
    /* Layers on the GPU: 0 none; negative or more than there are: all. The last layers go first,
     * with the output head. Without a GPU other values than 0 are PUNA_ERROR_NO_DEVICE. */
    int32_t n_gpu_layers;
    /* Device for those layers as counted by puna_runtime_device; 0: the first GPU. */
    int32_t gpu_device;
    /* 1: read the file into memory instead of mapping it. */
    int32_t disable_mmap;
    /* 1: tokenizer and metadata only; contexts cannot be made. Files without tensors need it not:
     * they load that way by themselves. */
    int32_t vocab_only;
    int32_t weights_layout; /* PUNA_WEIGHTS_* */
    puna_progress_fn progress;
    void* progress_user;
    puna_cancel* cancel;  /* stops the load */
    const void* reserved; /* must be NULL */
} puna_model_options;
#define PUNA_MODEL_OPTIONS_INIT \
    { (uint32_t)sizeof(puna_model_options), 0, 0, 0, 0, 0, 0, 0, 0, 0 }
PUNA_API puna_status PUNA_CALL puna_model_options_init(puna_model_options* options, size_t size);

/* [any thread] Loads a model from its GGUF file or, for a split one, from all its files in order; of
 * files called NAME-00001-of-00003.gguf and so on one path is enough, the others lie beside it.
 * `sources` is an array whose elements lie sources[0].struct_size bytes apart, `n_sources` is 1 to
 * PUNA_MAX_SOURCES. The sources live until the model and all its children are gone; their `release`
 * is called after errors too. A mapped file must not be changed or shortened while it is in use.
 * Errors: IO, FORMAT, TRUNCATED, FORMAT_VERSION, MODEL, MODEL_UNSUPPORTED, NO_DEVICE, BACKEND,
 * DEVICE_MEMORY, CANCELLED, CALLBACK_STOPPED. */
PUNA_API puna_status PUNA_CALL puna_model_load(puna_runtime* runtime, const puna_source* sources,
                                               int32_t n_sources, const puna_model_options* options,
                                               puna_model** model, puna_error* error);
/* [any thread] Gives the reference back; contexts and adapters keep the model alive. */
PUNA_API void PUNA_CALL puna_model_destroy(puna_model* model);

typedef struct puna_model_info {
    uint32_t struct_size;
    int32_t has_weights; /* 0: a vocabulary-only file or load */
    uint64_t n_parameters;
    uint64_t size_bytes; /* of all tensors, as stored */
    int32_t n_vocab;     /* rows of the logits */
    int32_t n_ctx_train; /* context length that the model was trained for */
    int32_t n_embd;
    int32_t n_layer;
    int32_t n_head;
    int32_t n_head_kv;
    int32_t head_dim_k; /* size of one head of queries and keys */
    int32_t head_dim_v; /* size of one head of values */
    int32_t n_ff;
    int32_t rope_dim;  /* leading dimensions of a head that RoPE turns */
    int32_t token_bos; /* special tokens; -1: the model has none */
    int32_t token_eos;
    int32_t token_eot; /* end of a turn */
    int32_t token_unk;
    int32_t adds_bos; /* tokenize puts BOS in front by default */
    int32_t adds_eos;
    int32_t has_chat_template;
    int32_t n_gpu_layers; /* layers that really are on a GPU */
    char family[32];      /* general.architecture: "llama" */
    char name[96];        /* general.name, shortened to fit; "" if there is none */
} puna_model_info;
#define PUNA_MODEL_INFO_INIT                                                                     \
    {                                                                                            \
        (uint32_t)sizeof(puna_model_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, {0}, {                                                                      \
            0                                                                                    \
        }                                                                                        \
    }

/* [any thread] Sizes and special tokens of a model. */
PUNA_API puna_status PUNA_CALL puna_model_get_info(const puna_model* model, puna_model_info* info,
                                                   puna_error* error);

/* [any thread] Number of metadata keys of the (first) file; 0 for NULL. */
PUNA_API int32_t PUNA_CALL puna_model_n_metadata(const puna_model* model);
/* [any thread] Key number `index` in file order. Errors: NOT_FOUND, BUFFER. */
PUNA_API puna_status PUNA_CALL puna_model_metadata_key(const puna_model* model, int32_t index,
                                                       char* buffer, size_t capacity,
                                                       size_t* needed, puna_error* error);
/* [any thread] Value of a key as text: strings as they are, numbers in decimal, booleans "true" and
 * "false", arrays as "[TYPE x COUNT]". Errors: NOT_FOUND, BUFFER. */
PUNA_API puna_status PUNA_CALL puna_model_metadata_value(const puna_model* model, const char* key,
                                                         size_t key_size, char* buffer,
                                                         size_t capacity, size_t* needed,
                                                         puna_error* error);

typedef struct puna_tensor_info {
    uint32_t struct_size;
    int32_t device; /* the device that holds it, as counted by puna_runtime_device; -1: unused */
    uint64_t size_bytes;
    uint64_t shape[4]; /* innermost (row length) first; unused dimensions are 1 */
    char name[80];
    char format[16]; /* block format: "Q8_0" */
} puna_tensor_info;
#define PUNA_TENSOR_INFO_INIT                                          \
    {                                                                  \
        (uint32_t)sizeof(puna_tensor_info), 0, 0, {0, 0, 0, 0}, {0}, { \
            0                                                          \
        }                                                              \
    }

/* [any thread] Number of tensors in the file; 0 for NULL. */
PUNA_API int32_t PUNA_CALL puna_model_n_tensors(const puna_model* model);
/* [any thread] Tensor number `index` in file order. Errors: NOT_FOUND. */
PUNA_API puna_status PUNA_CALL puna_model_tensor(const puna_model* model, int32_t index,
                                                 puna_tensor_info* info, puna_error* error);

/* What really runs: one row per device and block format of the model's matrices. */
typedef struct puna_format_info {
    uint32_t struct_size;
    int32_t device;
    uint64_t size_bytes; /* of the tensors in this format on this device */
    int32_t n_tensors;
    int32_t in_place; /* 1: used where the file has them; 0: a copy */
    char format[16];  /* "Q8_0" */
    /* Kernel set that multiplies them: a lower one where the chosen lacks it; "avx512+amx" where few
     * and many rows of a batch have kernels of different sets. */
    char kernels[32];
} puna_format_info;
#define PUNA_FORMAT_INFO_INIT                                  \
    {                                                          \
        (uint32_t)sizeof(puna_format_info), 0, 0, 0, 0, {0}, { \
            0                                                  \
        }                                                      \
    }

/* [any thread] Number of such rows; 0 for NULL or a model without weights. */
PUNA_API int32_t PUNA_CALL puna_model_n_formats(const puna_model* model);
/* [any thread] Errors: NOT_FOUND. */
PUNA_API puna_status PUNA_CALL puna_model_format(const puna_model* model, int32_t index,
                                                 puna_format_info* info, puna_error* error);

/* ------------------------------------------------------------------------------------------------
 * Tokens and text
 * --------------------------------------------------------------------------------------------- */

enum puna_tokenize_flag {
    PUNA_TOKENIZE_NO_BOS_EOS = 1,     /* leave away what the metadata says to add at the ends */
    PUNA_TOKENIZE_PARSE_SPECIAL = 2,  /* "</s>" in the text becomes the control token; without this
                                         the text of users can never turn into control tokens */
    PUNA_TOKENIZE_NO_SPACE_PREFIX = 4 /* the text continues other text: put no space before it */
};

/* [any thread] Text to tokens. Any bytes are accepted. `flags` is an OR of PUNA_TOKENIZE_*. When
 * the text itself begins with BOS (PARSE_SPECIAL) no second one is added. `n_tokens` receives the
 * number of tokens of the text. Errors: BUFFER (capacity, in tokens, is less; the buffer is
 * untouched), MODEL_UNSUPPORTED (no tokenizer in the model, or an unknown kind). */
PUNA_API puna_status PUNA_CALL puna_model_tokenize(const puna_model* model, const char* text,
                                                   size_t text_size, int32_t flags, int32_t* tokens,
                                                   int32_t capacity, int32_t* n_tokens,
                                                   puna_error* error);

enum puna_detokenize_flag {
    PUNA_DETOKENIZE_SPECIAL = 1, /* write control tokens as their text; without it they are "" */
    PUNA_DETOKENIZE_CONTINUE = 2 /* the tokens continue other text: keep a leading space that
                                    tokenize would have put there */
};

/* [any thread] Tokens to text, the inverse of tokenize: raw bytes, which need not be valid UTF-8 at
 * the ends of a cut-out piece. U+2581 comes back as a space where the vocabulary has it for spaces, as
 * SentencePiece's do. Errors: ARGUMENT (an id outside the vocabulary), BUFFER. */
PUNA_API puna_status PUNA_CALL puna_model_detokenize(const puna_model* model, const int32_t* tokens,
                                                     int32_t n_tokens, int32_t flags, char* buffer,
                                                     size_t capacity, size_t* needed,
                                                     puna_error* error);

enum puna_token_kind {
    PUNA_TOKEN_NORMAL = 1,
    PUNA_TOKEN_UNKNOWN = 2,
    PUNA_TOKEN_CONTROL = 3,
    PUNA_TOKEN_USER_DEFINED = 4,
    PUNA_TOKEN_UNUSED = 5,
    PUNA_TOKEN_BYTE = 6
};

typedef struct puna_token_info {
    uint32_t struct_size;
    int32_t kind; /* PUNA_TOKEN_* */
    float score;
    int32_t ends_generation; /* 1: sampling it ends a generation */
} puna_token_info;
#define PUNA_TOKEN_INFO_INIT \
    { (uint32_t)sizeof(puna_token_info), 0, 0, 0 }

/* [any thread] Attributes of one token. Errors: NOT_FOUND (an id outside the vocabulary). */
PUNA_API puna_status PUNA_CALL puna_model_token(const puna_model* model, int32_t token,
                                                puna_token_info* info, puna_error* error);
/* [any thread] The entry of the vocabulary as the file spells it ("\xE2\x96\x81the", "<0x0A>").
 * Errors: NOT_FOUND, BUFFER. */
PUNA_API puna_status PUNA_CALL puna_model_token_text(const puna_model* model, int32_t token,
                                                     char* buffer, size_t capacity, size_t* needed,
                                                     puna_error* error);
/* [any thread] The token spelled exactly so. Errors: NOT_FOUND. */
PUNA_API puna_status PUNA_CALL puna_model_find_token(const puna_model* model, const char* text,
                                                     size_t text_size, int32_t* token,
                                                     puna_error* error);

/* One message of a conversation. The layout is frozen: used in arrays. */
typedef struct puna_chat_message {
    const char* role; /* "system", "user", "assistant" */
    size_t role_size;
    const char* content;
    size_t content_size;
} puna_chat_message;

typedef struct puna_chat_options {
    uint32_t struct_size;
    int32_t no_generation_prompt; /* 1: do not open the assistant's turn at the end */
    /* Leave away what the first n messages render to, BOS included: the turn to append to a
     * sequence that already holds them. SYNTAX if that is not how the longer text begins. */
    int32_t n_skip_messages;
    int32_t reserved;
    const char* chat_template; /* NULL: the model's own */
    size_t chat_template_size;
    const char* now; /* clock for strftime_now, "2026-11-20T09:05:07"; NULL: local time */
    const void* reserved2;
} puna_chat_options;
#define PUNA_CHAT_OPTIONS_INIT \
    { (uint32_t)sizeof(puna_chat_options), 0, 0, 0, 0, 0, 0, 0 }
PUNA_API puna_status PUNA_CALL puna_chat_options_init(puna_chat_options* options, size_t size);

/* [any thread] The prompt text that the chat template makes of a conversation. Errors: UNSUPPORTED
 * (templates are not in this version), NOT_FOUND (the model has none), SYNTAX, BUFFER. */
PUNA_API puna_status PUNA_CALL puna_model_chat_text(const puna_model* model,
                                                    const puna_chat_message* messages,
                                                    int32_t n_messages,
                                                    const puna_chat_options* options, char* buffer,
                                                    size_t capacity, size_t* needed,
                                                    puna_error* error);
/* [any thread] The same as tokens, with exactly one BOS if the model uses one: control tokens come
 * from the template alone, never from the text of a message. Errors: as above. */
PUNA_API puna_status PUNA_CALL puna_model_chat_tokens(const puna_model* model,
                                                      const puna_chat_message* messages,
                                                      int32_t n_messages,
                                                      const puna_chat_options* options,
                                                      int32_t* tokens, int32_t capacity,
                                                      int32_t* n_tokens, puna_error* error);

/* ------------------------------------------------------------------------------------------------
 * Adapters
 * --------------------------------------------------------------------------------------------- */

/* [any thread] Loads a LoRA adapter (GGUF, general.type "adapter") for a model. Errors: as
 * puna_model_load, and UNSUPPORTED (adapters are not in this version). */
PUNA_API puna_status PUNA_CALL puna_adapter_load(puna_model* model, const puna_source* sources,
                                                 int32_t n_sources, puna_adapter** adapter,
                                                 puna_error* error);
/* [any thread] Gives the reference back; sequences that use the adapter keep it alive. */
PUNA_API void PUNA_CALL puna_adapter_destroy(puna_adapter* adapter);

/* ------------------------------------------------------------------------------------------------
 * Context
 * --------------------------------------------------------------------------------------------- */

/* Numbers of the KV cache. Heads of any size have each type. When tokens are dropped from the middle of
 * a sequence, the keys behind them are rounded to the type once more, which F32 hardly shows. */
enum puna_kv_type {
    PUNA_KV_DEFAULT = 0, /* PUNA_KV_F16 */
    PUNA_KV_F16 = 1,
    PUNA_KV_F32 = 2,
    PUNA_KV_BF16 = 3, /* F16's memory, the range of F32, an eighth of the precision of F16 */
    PUNA_KV_Q8_0 = 4  /* a byte each, and an F16 scale for 32 of a head: 0.53 of F16's memory
                        where 32 divides the size of heads, else a little more */
};

/* Positions per page of the KV cache: forks share whole pages, n_cells is rounded up to them. */
enum puna_kv_page { PUNA_KV_PAGE = 32 };

#define PUNA_MAX_CTX 16777216
#define PUNA_MAX_CELLS 67108864
#define PUNA_MAX_BATCH 65536

typedef struct puna_context_options {
    uint32_t struct_size;
    /* The most tokens one sequence may hold, up to PUNA_MAX_CTX. 0: the model's training context, at
     * most 4096. */
    int32_t n_ctx;
    /* KV cells of the context, shared by its sequences, up to PUNA_MAX_CELLS. 0: n_ctx. Eight users
     * with n_ctx 2048 need up to 8 * 2048; forks and equal prefixes share theirs. */
    int32_t n_cells;
    /* Rows evaluated together, up to PUNA_MAX_BATCH: longer prompts are worked in pieces of this
     * size. 0: 512. */
    int32_t n_batch;
    /* Cap on the threads of the runtime that this context uses. 0: all. */
    int32_t n_threads;
    int32_t kv_type_k; /* PUNA_KV_*; PUNA_ERROR_UNSUPPORTED if the backend has no such cache */
    int32_t kv_type_v;
    /* 1: logits are bit-equal for any number of threads, batch split and prefix reuse; long prompts may
     * take longer. 0: they may also depend on how many rows are evaluated together, and so on other
     * generations and on time budgets. */
    int32_t deterministic;
    /* 1: evaluate equal prefixes of sequences of this context again instead of sharing them. */
    int32_t disable_prefix_reuse;
    int32_t reserved; /* must be 0 */
} puna_context_options;
#define PUNA_CONTEXT_OPTIONS_INIT \
    { (uint32_t)sizeof(puna_context_options), 0, 0, 0, 0, 0, 0, 0, 0, 0 }
PUNA_API puna_status PUNA_CALL puna_context_options_init(puna_context_options* options,
                                                         size_t size);

/* [any thread] Makes a context: all memory that evaluation needs is taken here. One model carries
 * any number of contexts. Errors: STATE (the model has no weights), UNSUPPORTED, DEVICE_MEMORY,
 * BACKEND. */
PUNA_API puna_status PUNA_CALL puna_context_create(puna_model* model,
                                                   const puna_context_options* options,
                                                   puna_context** context, puna_error* error);
/* [destroy] Sequences and generations keep the context alive. */
PUNA_API void PUNA_CALL puna_context_destroy(puna_context* context);

/* [one thread] Evaluates one batch over all generations of the context that can go on, and queues
 * their events (see puna_generation_next). budget_us: microseconds after which no further layer is
 * begun, though at least one is run (the output head counts as one); 0: until the batch is done. A
 * batch that did not finish is resumed by the next call; with a budget, batches are kept small
 * enough that a layer fits it, where possible. `n_ready` (may be NULL) receives the number of
 * generations with an event to fetch, `n_active` (may be NULL) of those that can still go on: 0
 * when there is nothing to step. While a batch is unfinished, calls that need the cache (evaluate,
 * drop, save, restore, accept) finish it first; when a generation in it is cancelled or destroyed,
 * the rows of the others are evaluated again. A failure of one generation (cancelled, context full)
 * is reported by its own next, not here. Errors: BACKEND, DEVICE_MEMORY, BUSY, CANCELLED (the
 * context is being destroyed); sequences and generations are as they were before the batch. */
PUNA_API puna_status PUNA_CALL puna_context_step(puna_context* context, int32_t budget_us,
                                                 int32_t* n_ready, int32_t* n_active,
                                                 puna_error* error);
/* [one thread] Evaluates one token and forgets it, so that the first real one is as fast as the
 * rest. Errors: BACKEND, BUSY. */
PUNA_API puna_status PUNA_CALL puna_context_warm_up(puna_context* context, puna_error* error);
/* [one thread] Ends all generations and empties all sequences. The only way to go on with a
 * context that returned PUNA_ERROR_INTERNAL. Errors: BUSY, BACKEND (the device is lost). */
PUNA_API puna_status PUNA_CALL puna_context_reset(puna_context* context, puna_error* error);

/* What a context really is and has done. */
typedef struct puna_context_info {
    uint32_t struct_size;
    int32_t n_ctx;
    int32_t n_cells;
    int32_t n_cells_used; /* cells of pages that sequences hold, shared ones once */
    int32_t n_batch;
    int32_t n_threads;
    int32_t kv_type_k;
    int32_t kv_type_v;
    int32_t n_sequences;
    int32_t n_generations; /* not yet done */
    uint64_t kv_bytes;
    uint64_t scratch_bytes;
    uint64_t n_layers_run;  /* layers evaluated since creation, the head counted as one */
    uint64_t n_rows_run;    /* rows (tokens) of batches that were finished */
    uint64_t n_rows_reused; /* rows that prefix reuse made unnecessary */
    /* What decodes one sequence on a GPU, which is found out by measuring the first tokens: "one
     * kernel", "many kernels"; "" if that is not known yet, or there is but one way. */
    char one_row_kernels[16];
} puna_context_info;
#define PUNA_CONTEXT_INFO_INIT                                                           \
    {                                                                                    \
        (uint32_t)sizeof(puna_context_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { \
            0                                                                            \
        }                                                                                \
    }

/* [one thread] Errors: BUSY. */
PUNA_API puna_status PUNA_CALL puna_context_get_info(const puna_context* context,
                                                     puna_context_info* info, puna_error* error);

/* What a load and a context would take, per device. */
typedef struct puna_memory_estimate {
    uint32_t struct_size;
    int32_t n_gpu_layers;       /* after clamping to the layers there are */
    uint64_t host_mapped_bytes; /* file pages in use: given back under memory pressure */
    uint64_t host_weight_bytes; /* weights copied into host memory */
    uint64_t host_kv_bytes;
    uint64_t host_scratch_bytes;
    uint64_t device_weight_bytes;
    uint64_t device_kv_bytes;
    uint64_t device_scratch_bytes;
} puna_memory_estimate;
#define PUNA_MEMORY_ESTIMATE_INIT \
    { (uint32_t)sizeof(puna_memory_estimate), 0, 0, 0, 0, 0, 0, 0, 0 }

/* [any thread] The memory that puna_model_load and puna_context_create would take with these
 * options, from the header of the file alone. The `release` of the sources is called before this
 * returns. Errors: as puna_model_load. */
PUNA_API puna_status PUNA_CALL puna_model_estimate(puna_runtime* runtime,
                                                   const puna_source* sources, int32_t n_sources,
                                                   const puna_model_options* model_options,
                                                   const puna_context_options* context_options,
                                                   puna_memory_estimate* estimate,
                                                   puna_error* error);

/* ------------------------------------------------------------------------------------------------
 * Synthetic models
 * --------------------------------------------------------------------------------------------- */

/* A Llama model with random weights: for measuring the speed of a shape and type on a machine, and
 * for tests, without a download. Its text means nothing, but its activations have the sizes that
 * those of a trained model have. */
typedef struct puna_synthetic_model_options {
    uint32_t struct_size;
    int32_t n_embd; /* at least 1, as are the next two */
    int32_t n_layer;
    int32_t n_head;
    int32_t n_head_kv;   /* 0: n_head */
    int32_t head_dim;    /* even; 0: n_embd / n_head */
    int32_t n_ff;        /* at least 1 */
    int32_t n_vocab;     /* 0: as many as `vocabulary` has tokens */
    int32_t n_ctx_train; /* 0: 2048 */
    int32_t tied_output; /* 1: the token embedding is the output matrix too */
    /* 1: every matrix in the format `type`, also where published files of that name mix formats */
    int32_t pure;
    uint32_t seed; /* the same options and seed give the same bytes; 0: a random one */
    /* Split into files of at most so many bytes of tensors, or one tensor; 0: one file. */
    uint64_t part_bytes;
    /* A block format ("q8_0") or a mix as GGUF files are published in ("q4_k_m"), in upper or lower
     * case: Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, Q4_0, Q4_1, Q4_K_S, Q4_K_M, Q5_0, Q5_1, Q5_K_S, Q5_K_M,
     * Q6_K and Q8_0 have the formats per tensor that llama.cpp's quantize gives them. Matrices whose
     * rows do not divide into blocks fall back to a format whose blocks they fill, F16 at last. */
    const char* type;
    /* Path of a GGUF file whose tokenizer is copied. NULL: a tokenizer of bytes and made-up words,
     * or none if n_vocab is less than 259. */
    const char* vocabulary;
    puna_progress_fn progress;
    void* progress_user;
    puna_cancel* cancel;
    const void* reserved; /* must be NULL */
} puna_synthetic_model_options;
#define PUNA_SYNTHETIC_MODEL_OPTIONS_INIT                                                         \
    {                                                                                             \
        (uint32_t)sizeof(puna_synthetic_model_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0                                                                            \
    }
PUNA_API puna_status PUNA_CALL
puna_synthetic_model_options_init(puna_synthetic_model_options* options, size_t size);

/* [any thread] Writes such a model to `path`; parts are called NAME-00001-of-00003.gguf and so on. A
 * file of that name is replaced when all bytes are written, and stays as it was after a failure.
 * `n_files` (may be NULL) receives their number. Errors: IO, CANCELLED, CALLBACK_STOPPED; of the
 * vocabulary: FORMAT, TRUNCATED, FORMAT_VERSION, MODEL. */
PUNA_API puna_status PUNA_CALL
puna_synthetic_model_write(const puna_synthetic_model_options* options, const char* path,
                           size_t path_size, int32_t* n_files, puna_error* error);

/* ------------------------------------------------------------------------------------------------
 * Sequence
 * --------------------------------------------------------------------------------------------- */

/* [one thread] Makes an empty sequence. It takes cells as it grows. Errors: BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_create(puna_context* context, puna_sequence** sequence,
                                                    puna_error* error);
/* [destroy] Cells that no other sequence shares are free for others. A generation that runs on the
 * sequence keeps it alive. */
PUNA_API void PUNA_CALL puna_sequence_destroy(puna_sequence* sequence);

/* [one thread] A second sequence with the same tokens, which goes on by itself. All cells are
 * shared until one of the two writes behind them: then at most one partial page is copied. Also
 * allowed while a generation runs on the original: the fork has the tokens that are committed,
 * without a prompt that is still being evaluated. Errors: BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_fork(puna_sequence* sequence, puna_sequence** fork,
                                                  puna_error* error);
/* [one thread] Keeps the first n_tokens tokens and forgets the rest; more than there are is an
 * ARGUMENT error. Errors: STATE (a generation is running on it, which is until it has finished;
 * unfetched events do not count), BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_truncate(puna_sequence* sequence, int32_t n_tokens,
                                                      puna_error* error);
/* [one thread] Drops n_tokens tokens from position `first` on and moves the later ones down: their
 * keys are turned to the new positions, their values stay as they were computed. Errors: ARGUMENT
 * (the range is not inside the sequence), STATE, NO_CELLS (the cells are shared and there are none
 * free for copies), UNSUPPORTED (a KV type that cannot be turned), BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_drop(puna_sequence* sequence, int32_t first,
                                                  int32_t n_tokens, puna_error* error);
/* [one thread] Uses an adapter for what is evaluated from here on; NULL: none. The sequence must be
 * empty, since its cells belong to the weights that made them. Errors: STATE, BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_set_adapter(puna_sequence* sequence,
                                                         puna_adapter* adapter, float scale,
                                                         puna_error* error);

/* [one thread] The number of tokens: those of prompts, and every token that was sampled, whether
 * its event was fetched or not; end tokens and the tokens of a stop string included. The prompt of
 * a generation counts once it is evaluated. Errors: BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_length(const puna_sequence* sequence,
                                                    int32_t* n_tokens, puna_error* error);
/* [one thread] The tokens. Errors: BUFFER, BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_tokens(const puna_sequence* sequence, int32_t* tokens,
                                                    int32_t capacity, int32_t* n_tokens,
                                                    puna_error* error);

enum puna_output_kind {
    PUNA_OUTPUT_DEFAULT = 0,     /* nothing: only fill the cache */
    PUNA_OUTPUT_LOGITS_LAST = 1, /* [n_vocab] of the last token */
    PUNA_OUTPUT_LOGITS_ALL = 2,  /* [n_tokens][n_vocab] */
    PUNA_OUTPUT_HIDDEN_LAST = 3, /* [n_embd] after the final norm */
    PUNA_OUTPUT_HIDDEN_ALL = 4,  /* [n_tokens][n_embd] */
    PUNA_OUTPUT_HIDDEN_MEAN = 5  /* [n_embd], the mean over the tokens of this call: an embedding */
};

typedef struct puna_evaluate_options {
    uint32_t struct_size;
    int32_t output;        /* PUNA_OUTPUT_* */
    int32_t normalize;     /* 1: scale each hidden row (the mean, not its parts) to length 1 */
    int32_t reserved;      /* must be 0 */
    puna_cancel* cancel;   /* may be NULL */
    const void* reserved2; /* must be NULL */
} puna_evaluate_options;
#define PUNA_EVALUATE_OPTIONS_INIT \
    { (uint32_t)sizeof(puna_evaluate_options), 0, 0, 0, 0, 0 }
PUNA_API puna_status PUNA_CALL puna_evaluate_options_init(puna_evaluate_options* options,
                                                          size_t size);

/* [one thread] Appends tokens to the sequence and evaluates them, without sampling: logits for
 * perplexity or your own sampler, embeddings, or filling the cache with a prefix in advance.
 * `out` receives float32 rows; out_size is its size in bytes. All or nothing: after an error the
 * sequence has the tokens it had, and `out` is undefined. n_tokens may be 0 for the _LAST kinds,
 * which then give the output of the sequence's last token, and for no output, which fills cells
 * that are still outstanding. If tokens were dropped before the last one, its cell is then computed
 * again from what is there now. Other generations of the context do not move along. Errors: BUFFER
 * (out_size is less than the output), CONTEXT_FULL, NO_CELLS, STATE (a generation runs on the
 * sequence), CANCELLED, BACKEND, BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_evaluate(puna_sequence* sequence,
                                                      const int32_t* tokens, int32_t n_tokens,
                                                      const puna_evaluate_options* options,
                                                      float* out, size_t out_size,
                                                      puna_error* error);

/* [one thread] Writes tokens and KV cells as bytes that puna_sequence_restore reads: with model
 * fingerprint, KV types and checksum; the size is about tokens times KV bytes per token. States
 * move between devices, kernel sets and values of n_gpu_layers and n_ctx; sampler state is not part
 * of them. `needed` is in bytes; no NUL is added. Errors: STATE (a generation is running), BUFFER,
 * BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_save(puna_sequence* sequence, void* buffer,
                                                  size_t capacity, size_t* needed,
                                                  puna_error* error);
/* [one thread] Makes the sequence what was saved; it must be empty. Any bytes are safe to pass.
 * Errors: STATE, FORMAT,
 * TRUNCATED, FORMAT_VERSION, FOREIGN_STATE (another model or KV type), CONTEXT_FULL, NO_CELLS,
 * BUSY. */
PUNA_API puna_status PUNA_CALL puna_sequence_restore(puna_sequence* sequence, const void* data,
                                                     size_t size, puna_error* error);

/* ------------------------------------------------------------------------------------------------
 * Generation
 * --------------------------------------------------------------------------------------------- */

/* What to do when a sequence holds n_ctx tokens and one more comes. */
enum puna_full_policy {
    PUNA_FULL_DEFAULT = 0, /* PUNA_FULL_STOP */
    PUNA_FULL_STOP = 1,    /* the generation is done, with PUNA_FINISH_CONTEXT_FULL */
    PUNA_FULL_ERROR = 2,   /* next returns PUNA_ERROR_CONTEXT_FULL, again and again; the generation
                              can only be destroyed */
    PUNA_FULL_SHIFT = 3    /* drop max(1, (n_ctx - n_keep) / 2) tokens after the first n_keep, as by
                              puna_sequence_drop, and go on. With n_keep 0 BOS goes as well */
};

enum puna_prompt_mode {
    PUNA_PROMPT_DEFAULT = 0, /* PUNA_PROMPT_APPEND */
    PUNA_PROMPT_APPEND = 1,  /* the prompt goes behind what the sequence holds */
    PUNA_PROMPT_REPLACE = 2  /* the prompt is the whole text: the longest common prefix with what
                                the sequence holds is kept, up to a dropped range at most; the rest of it is truncated by start,
                                and stays so whatever comes of the generation */
};

enum puna_grammar_kind {
    PUNA_GRAMMAR_DEFAULT = 0, /* GBNF */
    PUNA_GRAMMAR_GBNF = 1,
    PUNA_GRAMMAR_JSON_SCHEMA = 2
};

/* Added to the logit of a token before anything else; -INFINITY bans it, unless that would leave no
 * token at all. Frozen: used in arrays. */
typedef struct puna_logit_bias {
    int32_t token;
    float bias;
} puna_logit_bias;

#define PUNA_MAX_LOGPROBS 64

/* The sampler chain, in this order: bias, penalties, top-k, typical-p, top-p, min-p, temperature,
 * random choice. A mirostat other than 0 takes the place of everything after the penalties. */
typedef struct puna_generation_options {
    uint32_t struct_size;
    int32_t max_tokens;      /* 0: no limit but the context */
    float temperature;       /* 0: greedy, the most likely token; else > 0 */
    int32_t top_k;           /* keep the k most likely tokens; 0: all */
    float top_p;             /* keep the fewest tokens with this much probability; 0 or >= 1: all */
    float min_p;             /* drop tokens less likely than this share of the likeliest; 0: none */
    float typical_p;         /* locally typical sampling; 0 or >= 1: off */
    float repeat_penalty;    /* divides positive, multiplies negative logits of recent tokens; 0 or
                                1: off */
    float presence_penalty;  /* subtracted once from tokens that occurred recently */
    float frequency_penalty; /* subtracted for each recent occurrence */
    int32_t penalty_last_n;  /* how many last tokens count as recent; 0: 64; -1: all */
    int32_t mirostat;        /* 0: off; 1 and 2: the algorithm's versions */
    float mirostat_tau;      /* target surprise in bits; 0: 5 */
    float mirostat_eta;      /* learning rate; 0: 0.1 */
    uint32_t seed;           /* 0: a random one; puna_generation_get_info reports the one used */
    int32_t when_full;       /* PUNA_FULL_* */
    int32_t n_keep;          /* PUNA_FULL_SHIFT: tokens at the start that stay; below n_ctx */
    int32_t prompt_mode;     /* PUNA_PROMPT_* */
    int32_t n_logprobs;      /* the k most likely tokens with every event; 0: none; at most
                                PUNA_MAX_LOGPROBS */
    int32_t ignore_end;      /* 1: end-of-generation tokens do not end it */
    /* 1: instead of sampling, next gives a LOGITS event and waits for puna_generation_accept. */
    int32_t stop_before_sampling;
    int32_t raw_bytes;    /* 1: event text as the tokens spell it, not held to whole characters */
    int32_t special_text; /* 1: control tokens appear in the event text */
    int32_t prompt_only;  /* 1: done, with PUNA_FINISH_PROMPT, when the prompt is evaluated: fills
                             the cache within a budget */
    int32_t n_draft;      /* tokens to draft ahead by looking them up in the text; 0: none */
    int32_t grammar_kind; /* PUNA_GRAMMAR_* */
    int32_t n_logit_bias;
    int32_t n_stops;
    const puna_logit_bias* logit_bias;
    /* The generation ends where one of these occurs in its text, which is cut there. Not empty. */
    const char* const* stops;
    const size_t* stop_sizes; /* NULL: all are NUL-terminated */
    const char* grammar;      /* NUL-terminated; NULL: none */
    puna_cancel* cancel;      /* may be NULL */
    const void* reserved2;    /* must be NULL */
} puna_generation_options;
#define PUNA_GENERATION_OPTIONS_INIT                                                               \
    {                                                                                              \
        (uint32_t)sizeof(puna_generation_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                      \
    }
PUNA_API puna_status PUNA_CALL puna_generation_options_init(puna_generation_options* options,
                                                            size_t size);

/* [one thread] Begins to continue a sequence; evaluates nothing yet. The tokens are copied. With
 * n_tokens 0 the sequence is continued as it stands; if it is empty too, that is an ARGUMENT error.
 * The prompt is one evaluation: until it is done, a cancel or error leaves the sequence as it was.
 * With PUNA_FULL_SHIFT, a prompt that fits n_ctx but not behind what the sequence holds drops as
 * many tokens after the first n_keep as it needs (at least as many as a shift would); start does
 * that, and it stays done whatever comes of the generation.
 * When n_ctx tokens are reached, PUNA_FULL_* decides; it has no say when the context's cells run
 * out, which is PUNA_ERROR_NO_CELLS from next. Errors: CONTEXT_FULL (sequence and prompt have more
 * than n_ctx tokens; the text has both counts), STATE (a generation is running on the sequence),
 * UNSUPPORTED (an option this version does not carry out), SYNTAX (grammar), BUSY. */
PUNA_API puna_status PUNA_CALL puna_generation_start(puna_sequence* sequence, const int32_t* tokens,
                                                     int32_t n_tokens,
                                                     const puna_generation_options* options,
                                                     puna_generation** generation,
                                                     puna_error* error);
/* [one thread] The same with text, tokenized by puna_model_tokenize with tokenize_flags. Behind
 * other tokens (PUNA_PROMPT_APPEND to a sequence that is not empty) BOS is not added. */
PUNA_API puna_status PUNA_CALL puna_generation_start_text(puna_sequence* sequence, const char* text,
                                                          size_t text_size, int32_t tokenize_flags,
                                                          const puna_generation_options* options,
                                                          puna_generation** generation,
                                                          puna_error* error);
/* [destroy] Ends the generation; the sequence keeps the tokens generated so far. */
PUNA_API void PUNA_CALL puna_generation_destroy(puna_generation* generation);

enum puna_event_kind {
    PUNA_EVENT_PENDING = 0, /* no event yet: the budget ran out, or it was only a poll */
    PUNA_EVENT_TOKEN = 1,   /* a token was sampled; its text may be empty (held back) */
    PUNA_EVENT_LOGITS = 2,  /* choose a token: puna_generation_accept */
    PUNA_EVENT_DONE = 3     /* the generation has ended; every further call gives this again */
};

enum puna_finish_reason {
    PUNA_FINISH_NONE = 0,         /* not finished */
    PUNA_FINISH_END = 1,          /* the model ended its text */
    PUNA_FINISH_STOP = 2,         /* a stop string occurred */
    PUNA_FINISH_LENGTH = 3,       /* max_tokens */
    PUNA_FINISH_CONTEXT_FULL = 4, /* n_ctx, with PUNA_FULL_STOP */
    PUNA_FINISH_CANCELLED = 5,
    PUNA_FINISH_ERROR = 6, /* the context was reset, memory for an event ran out, or logits were not
                            * numbers */
    PUNA_FINISH_PROMPT = 7 /* prompt_only */
};

/* A token and the natural logarithm of its probability. Frozen: used in arrays. */
typedef struct puna_logprob {
    int32_t token;
    float logprob;
} puna_logprob;

/* Pointers are borrowed: they hold until the next puna_generation_next, _accept or _destroy of this
 * generation or a reset of the context. Calls on others, steps and the destroying of parents leave
 * them alone. logprobs and logits are NULL when their count is 0. */
typedef struct puna_event {
    uint32_t struct_size;
    int32_t kind;       /* PUNA_EVENT_* */
    int32_t token;      /* TOKEN: the token, or -1 for text that was held back when the generation
                           was cancelled; else -1 */
    int32_t finish;     /* DONE: PUNA_FINISH_* */
    int32_t stop_index; /* DONE by a stop string: which one; else -1 */
    int32_t n_prefill;  /* tokens that had to be evaluated before the first was sampled */
    int32_t n_prefill_done; /* of them evaluated so far */
    int32_t n_generated;    /* tokens sampled, this one and end tokens included */
    int32_t n_sequence;     /* tokens of the sequence up to and with this one; DONE: all of them */
    float logprob;          /* TOKEN with n_logprobs: of the token, under the model's distribution
                               before the sampler chain; else 0 */
    int32_t n_logprobs;     /* entries of `logprobs`, likeliest first */
    int32_t n_logits;       /* LOGITS: n_vocab; else 0 */
    const char* text; /* never NULL, also NUL-terminated; "" but for TOKEN: whole characters of
                         valid UTF-8 (U+FFFD for what is none; raw_bytes: bytes), cut at a stop
                         string */
    size_t text_size;
    const puna_logprob* logprobs;
    const float* logits; /* LOGITS: [n_vocab] as the model computed them */
} puna_event;
#define PUNA_EVENT_INIT \
    { (uint32_t)sizeof(puna_event), 0, -1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* budget_us: fetch a queued event, evaluate nothing. */
enum puna_budget { PUNA_BUDGET_POLL = -1 };

/* [one thread] 1: steps pass this generation over until it is called with 0. A generation that
 * nobody asks for events is passed over by itself once 64 of them are queued. Errors: BUSY. */
PUNA_API puna_status PUNA_CALL puna_generation_pause(puna_generation* generation, int32_t paused,
                                                     puna_error* error);
/* [one thread] The next event. When none is queued the context is stepped (all its generations move
 * along, and their events are queued) until there is one or budget_us microseconds are over; 0: no
 * limit. While it is paused PENDING comes at once. The last TOKEN event carries all text that was
 * held back; then comes DONE. An end token has a TOKEN event too, normally with empty text. Queued
 * events come before errors. Errors: CANCELLED (once; the sequence is as before the evaluation that
 * was cut off, the generation has ended and further calls give what is queued and DONE),
 * CONTEXT_FULL (with PUNA_FULL_ERROR), NO_CELLS (destroy or truncate a sequence and call again),
 * BACKEND, DEVICE_MEMORY, BUSY, STATE (a LOGITS event waits for puna_generation_accept), MODEL (no
 * token can be chosen: its logits are not numbers; the generation has ended). After errors other
 * than CANCELLED and INTERNAL the call can be made again. */
PUNA_API puna_status PUNA_CALL puna_generation_next(puna_generation* generation, int32_t budget_us,
                                                    puna_event* next_event, puna_error* error);
/* [one thread] Answers a LOGITS event with the token to continue with; the next event is its TOKEN
 * event. Errors: STATE (no LOGITS event is open), ARGUMENT (an id outside the vocabulary), BUSY. */
PUNA_API puna_status PUNA_CALL puna_generation_accept(puna_generation* generation, int32_t token,
                                                      puna_error* error);

typedef struct puna_generation_info {
    uint32_t struct_size;
    /* The seed in use: given as an option, it gives the same text again, if the same rows are
     * evaluated together or the context is deterministic. */
    uint32_t seed;
    int32_t n_prompt;        /* tokens of the prompt */
    int32_t n_prompt_reused; /* of them not evaluated again: prefix reuse */
    int32_t n_generated;
    int32_t finish; /* PUNA_FINISH_* */
    int32_t stop_index;
    int32_t n_drafted; /* tokens drafted ahead, and of them accepted */
    int32_t n_draft_accepted;
    int32_t n_dropped; /* tokens dropped by PUNA_FULL_SHIFT so far */
    /* Once it is done: tokens of the sequence whose text lies wholly before a stop string; truncate
     * to this to take the stop out of the sequence. */
    int32_t n_sequence_text;
    int32_t reserved;
    double prompt_seconds; /* in steps that evaluated the prompt */
    double decode_seconds; /* in steps that evaluated generated tokens */
} puna_generation_info;
#define PUNA_GENERATION_INFO_INIT \
    { (uint32_t)sizeof(puna_generation_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* [one thread] Errors: BUSY. */
PUNA_API puna_status PUNA_CALL puna_generation_get_info(const puna_generation* generation,
                                                        puna_generation_info* info,
                                                        puna_error* error);

#ifdef __cplusplus
}
#endif

#endif /* PUNA_H */
