// A stack of its own for each thread of a block, switched by hand.
#pragma once

#include <cstddef>
#include <memory>

namespace cuda_emulator {

// Where a fiber or its caller goes on.
struct FiberContext;

class Fiber {
  public:
    Fiber();
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // From here on the fiber is one that will call entry(argument), which must end in leave().
    void prepare(void (*entry)(void*), void* argument);
    // Runs the fiber until it yields or leaves. To be called outside of fibers.
    void resume();
    // Back to resume(), from within the fiber.
    void yield();
    // The same for the last time.
    [[noreturn]] void leave();

  private:
    std::unique_ptr<FiberContext> context_;
};

}  // namespace cuda_emulator
