/* puna_backend.h - what a puna backend implements: the CPU backend inside the library, and plugins.
 *
 * SPDX-License-Identifier: MIT
 *
 * C99 layout, stable within one minor version of puna only.
 *
 * A backend does not execute operators. It executes a contiguous range of transformer layers for a
 * batch of rows (tokens), so it is free to fuse, capture or stream as its hardware likes:
 *
 *   backend      a library of code for one kind of device
 *   layer set    the weights of a range of layers on one device; immutable; the only owner of
 *                weights: a view of the mapped file, a repacked copy, or an upload
 *   executor     the KV cache and scratch of one context for one layer set
 *   batch        rows to evaluate; begun, advanced until done, or abandoned
 *
 * A model cut in two is two layer sets, and each context then has two executors: the hidden rows
 * that the first one writes are the input of the second.
 *
 * A plugin is a shared library that exports one function,
 *
 *     const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version);
 *
 * called with PUNA_BACKEND_API_VERSION of the library that loads it. It returns its table (static
 * storage), or NULL if it does not serve that version. It does not link to libpuna: all it needs
 * from there comes as puna_host_services.
 *
 * Conventions
 * - Statuses, puna_error and the option-struct rule are those of puna.h. `error` may be NULL.
 * Nothing throws, prints, exits or aborts; a fault of the device is PUNA_ERROR_BACKEND.
 * - A function that fails leaves what it was given as it was, unless its text says otherwise. After
 *   PUNA_ERROR_BACKEND everything on that device may refuse all further work; destroying it still
 *   works, and the process and other devices live on.
 * - A backend refuses what it cannot do at load or creation, with PUNA_ERROR_UNSUPPORTED (or
 *   PUNA_ERROR_MODEL_UNSUPPORTED for a model), naming the field, tensor or option. It never
 * computes something else silently.
 * - Statuses, where nothing else is said: a bad index or device is NOT_FOUND, bad options ARGUMENT,
 * a missing or misshapen tensor MODEL, an option value that the backend does not serve UNSUPPORTED.
 *   `destroy` functions accept NULL.
 * - The host has checked rows, views, outputs and cells against the options and each other; a
 * backend may rely on it.
 * - The services are called on threads that are inside a backend call, never on threads or driver
 *   callbacks of the backend's own, and `log` never with a lock held. Large blocks of host memory
 *   come from `alloc`; small bookkeeping may use malloc or operator new.
 * - Threads: functions of the backend and of layer sets are called from any thread, also at the
 * same time; those of one executor by one thread at a time, not always the same.
 * - Matrices are row-major; "[a][b]" means b is contiguous. Rows of a weight matrix are outputs:
 *   a matrix [n_out][n_in] maps a row x[n_in] to y[n_out] with y[i] = sum_j W[i][j] x[j].
 * - Every array in a struct is read during the call that it is passed to, unless stated.
 * - All arrays of floats are IEEE binary32 in host memory. Hidden rows are handed from one layer
 * set to the next in full binary32.
 */
#ifndef PUNA_BACKEND_H
#define PUNA_BACKEND_H

#include "puna/puna.h"

#ifdef __cplusplus
extern "C" {
#endif

/* major * 1000 + minor of puna, times 100, plus a revision within the minor. */
#define PUNA_BACKEND_API_VERSION 100u

/* ------------------------------------------------------------------------------------------------
 * What the library offers to a backend
 * --------------------------------------------------------------------------------------------- */

typedef struct puna_host puna_host;

/* Lives as long as the backend object. Callable from any thread that is inside a backend call. */
typedef struct puna_host_services {
    uint32_t struct_size;
    int32_t n_threads; /* the most that `parallel` will use */
    puna_host* host;   /* passed first to each of these */
    /* Memory by the user's allocator: NULL when there is none. Everything is given back by `free`
     * with the size and alignment (a power of two, at most 4096) that it was asked with. */
    void*(PUNA_CALL* alloc)(puna_host* host, size_t size, size_t alignment);
    void(PUNA_CALL* free)(puna_host* host, void* memory, size_t size, size_t alignment);
    /* One line, PUNA_LOG_*; cheap when nobody listens. */
    void(PUNA_CALL* log)(puna_host* host, int32_t level, const char* text, size_t size);
    /* part(0) .. part(n_parts - 1), each once, on the caller and idle workers, at most max_threads
     * at a time (0: all). Parts must not wait for each other. */
    void(PUNA_CALL* parallel)(puna_host* host, int32_t n_parts, int32_t max_threads,
                              puna_part_fn part, void* argument);
    /* The clock of deadlines: monotonic nanoseconds. */
    int64_t(PUNA_CALL* now_ns)(puna_host* host);
    /* The scalar reference dequantiser: n elements (a multiple of the block length) of a block
     * format to float. PUNA_ERROR_UNSUPPORTED for a format that the library does not know. */
    puna_status(PUNA_CALL* dequantize)(puna_host* host, int32_t format, const void* blocks,
                                       int64_t n, float* out, puna_error* error);
    /* Elements and bytes of one block of a format. PUNA_ERROR_UNSUPPORTED for a format that the
     * library does not know. */
    puna_status(PUNA_CALL* block_size)(puna_host* host, int32_t format, int32_t* n_elements,
                                       int32_t* n_bytes, puna_error* error);
} puna_host_services;

/* ------------------------------------------------------------------------------------------------
 * The model as a backend sees it
 * --------------------------------------------------------------------------------------------- */

/* Block formats by their GGUF type number: puna_tensor.format. Others exist; a backend says which
 * it takes (format_supported). Half precision is IEEE binary16; all data is little endian. */
enum {
    PUNA_FORMAT_F32 = 0,
    PUNA_FORMAT_F16 = 1,
    PUNA_FORMAT_Q4_0 = 2,
    PUNA_FORMAT_Q4_1 = 3,
    PUNA_FORMAT_Q5_0 = 6,
    PUNA_FORMAT_Q5_1 = 7,
    PUNA_FORMAT_Q8_0 = 8,
    PUNA_FORMAT_Q2_K = 10,
    PUNA_FORMAT_Q3_K = 11,
    PUNA_FORMAT_Q4_K = 12,
    PUNA_FORMAT_Q5_K = 13,
    PUNA_FORMAT_Q6_K = 14,
    PUNA_FORMAT_IQ2_XXS = 16,
    PUNA_FORMAT_IQ2_XS = 17,
    PUNA_FORMAT_IQ3_XXS = 18,
    PUNA_FORMAT_IQ1_S = 19,
    PUNA_FORMAT_IQ4_NL = 20,
    PUNA_FORMAT_IQ3_S = 21,
    PUNA_FORMAT_IQ2_S = 22,
    PUNA_FORMAT_IQ4_XS = 23,
    PUNA_FORMAT_IQ1_M = 29,
    PUNA_FORMAT_BF16 = 30,
    PUNA_FORMAT_TQ1_0 = 34,
    PUNA_FORMAT_TQ2_0 = 35,
    PUNA_FORMAT_MXFP4 = 39
};

enum { PUNA_NORM_RMS = 1, PUNA_NORM_LAYER = 2 };
enum { PUNA_ACTIVATION_SILU = 1, PUNA_ACTIVATION_GELU = 2, PUNA_ACTIVATION_GELU_TANH = 3 };
enum {
    PUNA_ROPE_NONE = 0,
    PUNA_ROPE_PAIRS = 1, /* turns neighbours: dimensions 2i and 2i + 1 (GGUF "llama") */
    PUNA_ROPE_HALVES = 2 /* turns dimensions i and i + rope_dim / 2 (GPT-NeoX) */
};

/* A decoder-only transformer. Every field is set; 0 means 0. One layer, for a row x[n_embd] at
 * position p:
 *
 *   n = norm(x) * attn_norm
 *   q = Wq n + bq   [n_head][head_dim_k]     k = Wk n + bk   [n_head_kv][head_dim_k]
 *   v = Wv n + bv   [n_head_kv][head_dim_v]
 *   with qk_norm: each head of q and k is normed and multiplied by q_norm, k_norm [head_dim_k]
 *   RoPE: in each head of q and k, pair i is turned by the angle p * rope_frequencies[i] and both
 *     are multiplied by rope_magnitude; dimensions from rope_dim up stay as they are
 *   k, v -> cache
 *   a[h] = sum_j softmax_j(q[h] . k_j[g] * attention_scale) v_j[g],  g = h / (n_head / n_head_kv),
 *     over the visible cells j
 *   x = x + residual_scale * (Wo a + bo)
 *   n = norm(x) * ffn_norm
 *   x = x + residual_scale * (Wdown (activation(Wgate n + bgate) * (Wup n + bup)) + bdown)
 *
 * Before the first layer x = embedding_scale * token_embd[token]; after the last one
 * logits = logit_scale * Woutput (norm(x) * output_norm), soft-capped.
 *
 * norm: RMS x / sqrt(mean(x^2) + epsilon); LAYER (x - mean(x)) / sqrt(variance(x) + epsilon), no
 * bias. qk_norm uses the same kind and epsilon. Turning a pair (a, b) by an angle t gives
 * (a cos t - b sin t, a sin t + b cos t). GELU is the erf form, GELU_TANH its tanh approximation.
 * The cache holds k after qk_norm, RoPE and magnitude, and v, rounded to nearest even. */
typedef struct puna_model_spec {
    uint32_t struct_size;
    int32_t n_vocab;
    int32_t n_embd;
    int32_t n_layer; /* of the whole model */
    int32_t n_head;
    int32_t n_head_kv;  /* divides n_head */
    int32_t head_dim_k; /* any size from 1 */
    int32_t head_dim_v;
    int32_t n_ff;
    int32_t norm; /* PUNA_NORM_* */
    float norm_epsilon;
    int32_t activation; /* PUNA_ACTIVATION_* */
    int32_t qk_norm;    /* 1: tensors ATTN_Q_NORM and ATTN_K_NORM exist */
    int32_t rope;       /* PUNA_ROPE_* */
    int32_t rope_dim;   /* even, at most head_dim_k */
    float rope_magnitude;
    /* [rope_dim / 2] angle per position of each pair, with base, frequency scaling and rope_freqs
     * of the file already in it. Lives as long as every layer set made from the spec. */
    const double* rope_frequencies;
    const char* family; /* "llama"; for messages; lives as long as rope_frequencies */
    float attention_scale;
    int32_t attention_window; /* the last so many positions are visible; 0: all. The host applies it
                                 through `first` of each row; this is for planning */
    float attention_softcap;  /* s -> c * tanh(s / c) on the scores; 0: none */
    float logit_softcap;      /* the same on the logits; 0: none */
    float embedding_scale;    /* 1 unless the family says otherwise, like the two below */
    float residual_scale;
    float logit_scale;
    int32_t reserved; /* 0 */
} puna_model_spec;

/* What a tensor is for. Shapes are [rows][columns]; the columns are what lies contiguous. */
enum {
    PUNA_TENSOR_TOKEN_EMBD = 0,   /* [n_vocab][n_embd]; comes with has_embedding */
    PUNA_TENSOR_OUTPUT_NORM = 1,  /* [1][n_embd]; with has_head */
    PUNA_TENSOR_OUTPUT = 2,       /* [n_vocab][n_embd]; with has_head, also when tied: then its data
                                     is that of TOKEN_EMBD */
    PUNA_TENSOR_ATTN_NORM = 3,    /* [1][n_embd]; from here on per layer */
    PUNA_TENSOR_ATTN_Q = 4,       /* [n_head * head_dim_k][n_embd] */
    PUNA_TENSOR_ATTN_K = 5,       /* [n_head_kv * head_dim_k][n_embd] */
    PUNA_TENSOR_ATTN_V = 6,       /* [n_head_kv * head_dim_v][n_embd] */
    PUNA_TENSOR_ATTN_OUTPUT = 7,  /* [n_embd][n_head * head_dim_v] */
    PUNA_TENSOR_FFN_NORM = 8,     /* [1][n_embd] */
    PUNA_TENSOR_FFN_GATE = 9,     /* [n_ff][n_embd] */
    PUNA_TENSOR_FFN_UP = 10,      /* [n_ff][n_embd] */
    PUNA_TENSOR_FFN_DOWN = 11,    /* [n_embd][n_ff] */
    PUNA_TENSOR_ATTN_Q_BIAS = 12, /* [1][rows of ATTN_Q]; biases are optional, each by itself */
    PUNA_TENSOR_ATTN_K_BIAS = 13,
    PUNA_TENSOR_ATTN_V_BIAS = 14,
    PUNA_TENSOR_ATTN_OUTPUT_BIAS = 15,
    PUNA_TENSOR_FFN_GATE_BIAS = 16,
    PUNA_TENSOR_FFN_UP_BIAS = 17,
    PUNA_TENSOR_FFN_DOWN_BIAS = 18,
    PUNA_TENSOR_ATTN_Q_NORM = 19, /* [1][head_dim_k]; with qk_norm */
    PUNA_TENSOR_ATTN_K_NORM = 20,
    PUNA_N_TENSOR_ROLES = 21
};

/* Norms and biases are always PUNA_FORMAT_F32 here (the host converts them); matrices are in any
 * format whose block length divides `columns`. Used in arrays with stride struct_size. */
typedef struct puna_tensor {
    uint32_t struct_size;
    int32_t role;   /* PUNA_TENSOR_* */
    int32_t layer;  /* of the whole model; -1 for the roles that have none */
    int32_t format; /* PUNA_FORMAT_* */
    int64_t rows;
    int64_t columns;
    const void* data; /* rows * bytes per row, without gaps; aligned to 4 bytes at least */
    const char* name; /* as in the file, for messages */
    uint64_t size_bytes;
    int32_t is_mapped; /* 1: pages of a file, 0: memory */
    int32_t is_tied;   /* 1: an OUTPUT that is the tensor TOKEN_EMBD once more */
} puna_tensor;

/* ------------------------------------------------------------------------------------------------
 * Layer sets
 * --------------------------------------------------------------------------------------------- */

typedef struct puna_backend puna_backend;
typedef struct puna_layer_set puna_layer_set;
typedef struct puna_executor puna_executor;
typedef struct puna_backend_adapter puna_backend_adapter;

typedef struct puna_backend_options {
    uint32_t struct_size;
    int32_t reserved;
    const char* kernels; /* CPU backend: the forced kernel set, or NULL; others: NULL */
    const void* reserved2;
} puna_backend_options;

/* Polled between layers (a device: between launches); non-zero: return as if the deadline had
 * passed. */
typedef int32_t(PUNA_CALL* puna_interrupted_fn)(void* user);

typedef struct puna_layers_request {
    uint32_t struct_size;
    int32_t device; /* of this backend, from 0 */
    int32_t first_layer;
    int32_t n_layers;       /* may be 0: embedding or head alone */
    int32_t has_embedding;  /* 1: batches bring token ids; 0: hidden rows */
    int32_t has_head;       /* 1: ends with norm and logits; 0: with hidden rows */
    int32_t weights_layout; /* PUNA_WEIGHTS_* */
    int32_t n_tensors;
    const puna_model_spec* spec;
    const puna_tensor* tensors;
    /* Keeps the bytes of all tensors valid. On success the layer set owns it and calls
     * release(owner) exactly once, when it no longer reads them: at its destruction, or right after
     * an upload. On failure the caller still owns it. NULL in an estimate. */
    void* owner;
    puna_release_fn release;
    /* For uploads and repacking: `progress` is told the finished share, non-zero stops the load
     * with CALLBACK_STOPPED (the host may have another reason and keeps it); `interrupted` non-zero stops
     * it with CANCELLED. Either may be NULL. */
    puna_progress_fn progress;
    puna_interrupted_fn interrupted;
    void* progress_user; /* for both */
    const void* reserved;
} puna_layers_request;

/* One row per block format that a layer set holds matrices of. */
typedef struct puna_layers_format {
    uint32_t struct_size;
    int32_t format;
    int32_t n_tensors;
    int32_t in_place; /* 1: read where the host has them */
    uint64_t size_bytes;
    char kernels[32]; /* what multiplies them; "a+b": few and many rows of a batch */
} puna_layers_format;

typedef struct puna_layers_info {
    uint32_t struct_size;
    int32_t n_formats;
    uint64_t host_bytes;   /* taken from the allocator */
    uint64_t device_bytes; /* taken on the device, if that is not the host */
} puna_layers_info;

typedef struct puna_executor_options {
    uint32_t struct_size;
    int32_t n_cells;      /* a multiple of PUNA_KV_PAGE */
    int32_t n_ctx;        /* the most cells that one row sees */
    int32_t max_rows;     /* of a batch */
    int32_t max_views;    /* of a batch; also the most sequences in it */
    int32_t max_outputs;  /* of a batch */
    int32_t max_bias;     /* entries of one output's bias */
    int32_t max_adapters; /* of a batch */
    int32_t n_threads;    /* cap for `parallel` */
    int32_t kv_type_k;    /* PUNA_KV_*, never DEFAULT */
    int32_t kv_type_v;
    int32_t deterministic; /* results independent of threads, batch split and batch neighbours */
} puna_executor_options;

/* Bytes that something takes, before it is made. */
typedef struct puna_backend_estimate {
    uint32_t struct_size;
    int32_t weights_in_place; /* 1: the mapped file itself is used */
    uint64_t host_weight_bytes;
    uint64_t device_weight_bytes;
    uint64_t kv_bytes;      /* on the device where the layers are */
    uint64_t scratch_bytes; /* likewise */
} puna_backend_estimate;

/* ------------------------------------------------------------------------------------------------
 * Batches
 * --------------------------------------------------------------------------------------------- */

/* The cells of one sequence in order of position: position p lies in cell
 * pages[p / PUNA_KV_PAGE] * PUNA_KV_PAGE + p % PUNA_KV_PAGE. Cells are numbered from 0 to
 * n_cells - 1 and mean the same in every executor of the context. There is one page at least, and all
 * of them exist, those too that no row of the batch sees. */
typedef struct puna_batch_view {
    const int32_t* pages;
    int32_t n_pages;
    int32_t reserved;
} puna_batch_view;

/* One row: a token at a position of a sequence. Only cells of pages first / PUNA_KV_PAGE .. position /
 * PUNA_KV_PAGE of its view are read, and position - first is below n_ctx. Keys and values are
 * written to its cell before any row of the batch attends, so rows of one sequence see each other;
 * the host orders rows of a view by position and never lets two rows write one cell. */
typedef struct puna_batch_row {
    int32_t token;    /* with has_embedding; else ignored */
    int32_t position; /* for RoPE, and the index in the view */
    int32_t cell;     /* where to write: the view's cell for `position` */
    int32_t view;     /* index into views */
    int32_t first;    /* sees positions first .. position, itself included */
    int32_t adapter;  /* index into adapters, or -1 */
    int32_t output;   /* index into outputs, of which each belongs to one row; -1: nothing wanted.
                         Ignored without has_head */
    int32_t reserved;
} puna_batch_row;

enum {
    PUNA_ROW_OUTPUT_HIDDEN = 1, /* values[n_embd]: after the output norm */
    PUNA_ROW_OUTPUT_LOGITS = 2, /* values[n_vocab] */
    PUNA_ROW_OUTPUT_ARGMAX = 3, /* tokens[1], values[1]: the largest logit; the smaller id wins */
    PUNA_ROW_OUTPUT_TOP_K = 4   /* tokens[k], values[k]: the largest logits, descending; equal ones
                                   by ascending id */
};

/* What one row must deliver; filled when the batch is done, undefined before and when it fails.
 * Bias (entries for one token add up) and mask apply to ARGMAX and TOP_K, and `values` then are the
 * logits with bias. A token whose logit is NaN or -infinity with bias never comes back: n_filled is
 * then less than k, or 0. HIDDEN and LOGITS fill their whole row. */
typedef struct puna_batch_output {
    int32_t kind; /* PUNA_ROW_OUTPUT_* */
    int32_t k;    /* TOP_K: 1 .. n_vocab */
    int32_t n_bias;
    int32_t n_filled;            /* out: entries of tokens and values that were written */
    const puna_logit_bias* bias; /* added to the logits first */
    const uint32_t*
        mask; /* [(n_vocab + 31) / 32]: only tokens with bit token % 32 of word token / 32
                 set may come back; NULL: all. Both stay valid until the batch is over */
    float* values;
    int32_t* tokens;
    float* log_sum_exp; /* [1] or NULL: log of the sum of exp over all logits, before bias and mask;
                           not with HIDDEN */
    void* reserved;
} puna_batch_output;

typedef struct puna_batch_adapter {
    puna_backend_adapter* adapter;
    float scale;
    int32_t reserved;
} puna_batch_adapter;

/* The arrays stay valid and unchanged until the batch is done or abandoned; the struct itself is
 * read by `begin` alone. hidden_in and hidden_out do not overlap. */
typedef struct puna_batch {
    uint32_t struct_size;
    int32_t n_rows; /* 1 .. max_rows */
    int32_t n_views;
    int32_t n_outputs;
    int32_t n_adapters;
    int32_t reserved;
    const puna_batch_row* rows;
    const puna_batch_view* views;
    puna_batch_output* outputs;
    const puna_batch_adapter* adapters;
    const float* hidden_in; /* [n_rows][n_embd] without has_embedding; else NULL */
    float* hidden_out;      /* [n_rows][n_embd] without has_head; else NULL */
} puna_batch;

typedef struct puna_progress {
    uint32_t struct_size;
    int32_t done;         /* 1: the batch is finished and its outputs are filled */
    int32_t n_layers_run; /* layers run by this call, the head counted as one; also set when the
                             call fails */
    int32_t reserved;
} puna_progress;

/* Copies n_cells cells from `source` to `target` (the ranges may overlap, as with memmove) and
 * turns the keys of the copies by `delta` positions: by RoPE's rotation alone, without
 * rope_magnitude, and not at all with PUNA_ROPE_NONE. source == target turns in place. */
typedef struct puna_kv_move {
    int32_t source;
    int32_t target;
    int32_t n_cells;
    int32_t delta; /* new position minus old one; 0: an exact copy */
} puna_kv_move;

enum { PUNA_KV_KEYS = 0, PUNA_KV_VALUES = 1 };

/* A LoRA adapter: pairs of tensors for a role and layer, y += scale * alpha / rank * B (A x). */
typedef struct puna_adapter_pair {
    int32_t role;
    int32_t layer;
    int32_t rank;
    float alpha;
    const float* a; /* [rank][columns of the role] */
    const float* b; /* [rows of the role][rank] */
} puna_adapter_pair;

/* ------------------------------------------------------------------------------------------------
 * The table
 * --------------------------------------------------------------------------------------------- */

typedef struct puna_backend_api {
    uint32_t struct_size;
    uint32_t api_version; /* PUNA_BACKEND_API_VERSION that the plugin was built with */
    const char* name;     /* "cpu", "cuda" */
    const char* build;    /* version and options of the plugin, one line, for reports */

    /* Opens the driver. Errors: NO_DEVICE (the text says why), BACKEND_VERSION (the driver is too
     * old), UNSUPPORTED (kernels). `services` lives until destroy. */
    puna_status(PUNA_CALL* create)(const puna_host_services* services,
                                   const puna_backend_options* options, puna_backend** backend,
                                   puna_error* error);
    /* After all layer sets are destroyed. */
    void(PUNA_CALL* destroy)(puna_backend* backend);

    int32_t(PUNA_CALL* n_devices)(const puna_backend* backend);
    /* What is known of a device without opening it: free_bytes may stay 0 where there is
     * device_free_bytes. */
    puna_status(PUNA_CALL* device_info)(const puna_backend* backend, int32_t device,
                                        puna_device_info* info, puna_error* error);
    /* 1 when matrices in this block format can be multiplied. */
    int32_t(PUNA_CALL* format_supported)(const puna_backend* backend, int32_t format);

    /* What load_layers and create_executor would take, from shapes and formats alone: tensor data
     * is NULL and not read. Refuses what they would refuse, but for lack of memory. `options` NULL:
     * the layer set alone. */
    puna_status(PUNA_CALL* estimate)(puna_backend* backend, const puna_layers_request* request,
                                     const puna_executor_options* options,
                                     puna_backend_estimate* estimate, puna_error* error);

    /* Errors: MODEL_UNSUPPORTED (a field of the spec or a tensor's format), DEVICE_MEMORY. */
    puna_status(PUNA_CALL* load_layers)(puna_backend* backend, const puna_layers_request* request,
                                        puna_layer_set** layers, puna_error* error);
    /* After all its executors and adapters are destroyed. */
    void(PUNA_CALL* destroy_layers)(puna_layer_set* layers);
    puna_status(PUNA_CALL* layers_info)(const puna_layer_set* layers, puna_layers_info* info,
                                        puna_error* error);
    puna_status(PUNA_CALL* layers_format)(const puna_layer_set* layers, int32_t index,
                                          puna_layers_format* format, puna_error* error);

    /* May be NULL together: no adapters. The pairs are those of this range; copied. */
    puna_status(PUNA_CALL* load_adapter)(puna_layer_set* layers, const puna_adapter_pair* pairs,
                                         int32_t n_pairs, puna_backend_adapter** adapter,
                                         puna_error* error);
    void(PUNA_CALL* destroy_adapter)(puna_backend_adapter* adapter);

    /* Takes all memory that batches within these options will ever need. Errors: UNSUPPORTED,
     * DEVICE_MEMORY. */
    puna_status(PUNA_CALL* create_executor)(puna_layer_set* layers,
                                            const puna_executor_options* options,
                                            puna_executor** executor, puna_error* error);
    void(PUNA_CALL* destroy_executor)(puna_executor* executor);
    puna_status(PUNA_CALL* executor_memory)(const puna_executor* executor, uint64_t* kv_bytes,
                                            uint64_t* scratch_bytes, puna_error* error);

    /* Takes up a batch; runs nothing, or enqueues it. STATE while another batch is under way. */
    puna_status(PUNA_CALL* begin)(puna_executor* executor, const puna_batch* batch,
                                  puna_error* error);
    /* Goes on with it: begins a layer while now_ns() < deadline_ns and `interrupted` returns 0, but
     * runs at least one in each call, also when interrupted. The embedding belongs to the first
     * layer; the head counts as a layer. A layer is run when the device has finished it; work of at
     * most one further layer may be in flight on return. deadline_ns INT64_MAX: no deadline.
     * `interrupted` may be NULL. After an error the batch is abandoned. Without a batch: STATE. */
    puna_status(PUNA_CALL* advance)(puna_executor* executor, int64_t deadline_ns,
                                    puna_interrupted_fn interrupted, void* user,
                                    puna_progress* progress, puna_error* error);
    /* Gives the batch up; nothing of it is running any more on return. The cells that its rows name
     * have undefined contents, all others are untouched. Nothing to do: fine. */
    void(PUNA_CALL* abandon)(puna_executor* executor);

    /* Executes the moves in order. While a batch is under way: STATE. UNSUPPORTED, before any move
     * is made: delta != 0 with a key type that cannot be turned. After BACKEND the target cells are
     * undefined. */
    puna_status(PUNA_CALL* kv_move)(puna_executor* executor, const puna_kv_move* moves,
                                    int32_t n_moves, puna_error* error);
    /* The cells hold nothing any more: the backend may give memory back. May be NULL. This one and
     * the two below may be called during a batch, for cells that it does not write. */
    void(PUNA_CALL* kv_drop)(puna_executor* executor, int32_t first_cell, int32_t n_cells);
    /* The canonical layout of saved states: for one layer of the range (counted in the whole model)
     * and the cells in the order given, [n_cells][n_head_kv][head_dim] in the element type of the
     * cache (PUNA_KV_*). Q8_0: each head is in blocks of 32 elements, as in GGUF: an F16 scale, then
     * a signed byte for each element; the last block has only the bytes of elements that are there,
     * so that a head takes head_dim + 2 * ((head_dim + 31) / 32) bytes. `size` is the exact number
     * of bytes. */
    puna_status(PUNA_CALL* kv_read)(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                                    const int32_t* cells, int32_t n_cells, void* out, size_t size,
                                    puna_error* error);
    puna_status(PUNA_CALL* kv_write)(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                                     const int32_t* cells, int32_t n_cells, const void* data,
                                     size_t size, puna_error* error);

    /* May be NULL: device_info says it. Opens the device, which can take long and memory of both
     * sides. 0 if it cannot be told. */
    puna_status(PUNA_CALL* device_free_bytes)(const puna_backend* backend, int32_t device,
                                              uint64_t* free_bytes, puna_error* error);

    /* May be NULL: there is but one way. What runs batches of one row where the executor finds that
     * out by measuring, a few words for reports: static text, "" as long as it is not known. */
    const char*(PUNA_CALL* one_row_kernels)(const puna_executor* executor);
} puna_backend_api;

typedef const puna_backend_api*(PUNA_CALL* puna_backend_entry_fn)(uint32_t api_version);

/* The name that a plugin exports. */
#define PUNA_BACKEND_ENTRY "puna_backend_entry"

/* Before the definition of that function in a plugin. */
#if defined(_WIN32)
#define PUNA_BACKEND_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define PUNA_BACKEND_EXPORT __attribute__((visibility("default")))
#else
#define PUNA_BACKEND_EXPORT
#endif

#ifdef __cplusplus
}
#endif

#endif /* PUNA_BACKEND_H */
