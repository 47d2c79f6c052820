#include "emulated_fiber.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#define PUNA_OWN_SWITCH 1
#else
#define PUNA_OWN_SWITCH 0
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_emulator {

namespace {

constexpr size_t kStackBytes = 128 * 1024;

#if PUNA_OWN_SWITCH
extern "C" void puna_emulator_switch(void** save, void* to);
// Saves what a callee must keep, exchanges the stacks, restores.
#if defined(__x86_64__)
asm(R"(
.text
.globl puna_emulator_switch
.hidden puna_emulator_switch
.type puna_emulator_switch, @function
puna_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size puna_emulator_switch, .-puna_emulator_switch
)");
#else
asm(R"(
.text
.globl puna_emulator_switch
.hidden puna_emulator_switch
.type puna_emulator_switch, %function
puna_emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size puna_emulator_switch, .-puna_emulator_switch
)");
#endif
#endif

}  // namespace

struct FiberContext {
    uint8_t* stack = static_cast<uint8_t*>(std::malloc(kStackBytes));
    void (*entry)(void*) = nullptr;
    void* argument = nullptr;
#if PUNA_OWN_SWITCH
    void* own = nullptr;
    void* caller = nullptr;
#else
    ucontext_t own = {};
    ucontext_t caller = {};
#endif
#if defined(__SANITIZE_ADDRESS__)
    void* fake_stack = nullptr;
    const void* caller_stack = nullptr;
    size_t caller_stack_bytes = 0;
#endif
    ~FiberContext() {
        std::free(stack);
    }
};

namespace {

FiberContext* starting = nullptr;  // the fiber that is resumed for the first time

void start() {
    FiberContext* context = starting;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &context->caller_stack, &context->caller_stack_bytes);
#endif
    context->entry(context->argument);
    std::abort();  // an entry ends in leave()
}

void switch_to_caller(FiberContext& context, bool for_good) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &context.fake_stack, context.caller_stack,
                                   context.caller_stack_bytes);
#endif
    (void)for_good;
#if PUNA_OWN_SWITCH
    puna_emulator_switch(&context.own, context.caller);
#else
    swapcontext(&context.own, &context.caller);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(context.fake_stack, &context.caller_stack,
                                    &context.caller_stack_bytes);
#endif
}

}  // namespace

Fiber::Fiber() : context_(std::make_unique<FiberContext>()) {}
Fiber::~Fiber() = default;

void Fiber::prepare(void (*entry)(void*), void* argument) {
    FiberContext& c = *context_;
    c.entry = entry;
    c.argument = argument;
#if PUNA_OWN_SWITCH
    auto top = reinterpret_cast<uintptr_t>(c.stack + kStackBytes) & ~uintptr_t{15};
#if defined(__x86_64__)
    // Six registers, the address of start(), and what would be its return address: a function begins
    // with the stack 8 bytes off a multiple of 16.
    auto* words = reinterpret_cast<void**>(top) - 8;
    std::memset(words, 0, 8 * sizeof *words);
    words[6] = reinterpret_cast<void*>(&start);
#else
    auto* words = reinterpret_cast<void**>(top) - 20;
    std::memset(words, 0, 20 * sizeof *words);
    words[11] = reinterpret_cast<void*>(&start);  // x30
#endif
    c.own = words;
#else
    getcontext(&c.own);
    c.own.uc_stack.ss_sp = c.stack;
    c.own.uc_stack.ss_size = kStackBytes;
    c.own.uc_link = nullptr;
    makecontext(&c.own, &start, 0);
#endif
}

void Fiber::resume() {
    FiberContext& c = *context_;
    starting = &c;
#if defined(__SANITIZE_ADDRESS__)
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, c.stack, kStackBytes);
#endif
#if PUNA_OWN_SWITCH
    puna_emulator_switch(&c.caller, c.own);
#else
    swapcontext(&c.caller, &c.own);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void Fiber::yield() {
    switch_to_caller(*context_, false);
}

void Fiber::leave() {
    switch_to_caller(*context_, true);
    std::abort();
}

}  // namespace cuda_emulator
