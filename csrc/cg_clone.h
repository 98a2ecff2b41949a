/* cg_clone.h - clone3(2), which the C library does not wrap. */
#ifndef CG_CLONE_H
#define CG_CLONE_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>

/* From <linux/sched.h> of 5.7, which older build hosts lack. */
struct clone_args_v2 {
    uint64_t flags;
    uint64_t pidfd;
    uint64_t child_tid;
    uint64_t parent_tid;
    uint64_t exit_signal;
    uint64_t stack;
    uint64_t stack_size;
    uint64_t tls;
    uint64_t set_tid;
    uint64_t set_tid_size;
    uint64_t cgroup;
};
#define CLEAR_SIGHAND UINT64_C(0x100000000)
#define INTO_CGROUP UINT64_C(0x200000000)
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

/* Creates a child that runs a function on another stack; the function must not return.  Returns the pid, or
 * -errno. */
#if defined __x86_64__ && defined __LP64__
static long clone3_running(struct clone_args_v2 *args, int (*run)(void *), void *argument)
{
    register int (*r8)(void *) __asm__("r8") = run;
    register void *r9 __asm__("r9") = argument;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined __aarch64__ && defined __LP64__
static long clone3_running(struct clone_args_v2 *args, int (*run)(void *), void *argument)
{
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register int (*x10)(void *) __asm__("x10") = run;
    register void *x11 __asm__("x11") = argument;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, 0\n\t"
                     "mov x30, 0\n\t"
                     "mov x0, x11\n\t"
                     "blr x10\n\t"
                     "brk 1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x10), "r"(x11)
                     : "memory", "cc");
    return x0;
}
#else
static long clone3_running(struct clone_args_v2 *args, int (*run)(void *), void *argument)
{
    (void)args, (void)run, (void)argument;
    return -ENOSYS;
}
#endif

#endif
