# Puts the variables of a file into the environment, over those of the same name, and becomes the program that its
# arguments name: looked for along PATH, as the engine would have. Assembled into launcher.rs; a test there compares.
.intel_syntax noprefix
.text
        mov  r12, [rsp]                 # number of arguments
        lea  r13, [rsp+16]              # those of the program
        lea  r14, [rsp+r12*8+16]        # the environment
        mov  eax, 2                     # open
        lea  rdi, [rip+file]
        xor  esi, esi
        syscall
        lea  r9, [rip+unread]
        mov  r10d, offset unread_end-unread
        test eax, eax
        js   fail
        mov  ebx, eax
        mov  eax, 8                     # lseek to its end: its size
        mov  edi, ebx
        xor  esi, esi
        mov  edx, 2
        syscall
        mov  rbp, rax
        mov  r15, rsp                   # nothing to map in an empty file
        test rbp, rbp
        jz   mapped
        mov  eax, 9                     # mmap, private
        xor  edi, edi
        mov  rsi, rbp
        mov  edx, 3
        mov  r10d, 2
        mov  r8d, ebx
        xor  r9d, r9d
        syscall
        lea  r9, [rip+unread]
        mov  r10d, offset unread_end-unread
        cmp  rax, -4096
        ja   fail
        mov  r15, rax
mapped: mov  eax, 3                     # close
        mov  edi, ebx
        syscall
        add  rbp, r15                   # where the text ends
        mov  ecx, 1                     # how long the new environment can get
        mov  rsi, r15
count:  cmp  rsi, rbp
        jae  olds
        cmp  byte ptr [rsi], 1
        adc  rcx, 0
        inc  rsi
        jmp  count
olds:   mov  rsi, r14
more:   inc  rcx
        lodsq
        test rax, rax
        jnz  more
        shl  rcx, 3
        sub  rsp, rcx
        and  rsp, -16
        mov  rbx, rsp                   # the new environment
        mov  rdi, rbx
        mov  rsi, r15
ours:   cmp  rsi, rbp
        jae  rest
        mov  rax, rsi
        stosq
skip:   cmp  rsi, rbp
        jae  rest
        inc  rsi
        cmp  byte ptr [rsi-1], 0
        jne  skip
        jmp  ours
rest:   mov  r11, rdi                   # ours end here
next:   mov  rdx, [r14]
        add  r14, 8
        test rdx, rdx
        jz   done
        mov  r8, rbx
same:   cmp  r8, r11
        jae  keep
        mov  rsi, [r8]
        add  r8, 8
        xor  ecx, ecx
each:   mov  al, [rsi+rcx]
        cmp  al, [rdx+rcx]
        jne  same
        inc  rcx
        cmp  al, '='
        je   next                       # the name of one of ours
        test al, al
        jnz  each
        jmp  same
keep:   mov  [rdi], rdx
        add  rdi, 8
        jmp  next
done:   mov  qword ptr [rdi], 0
        lea  r9, [rip+nobody]
        mov  r10d, offset nobody_end-nobody
        cmp  r12, 2
        jl   fail
        mov  rdi, [r13]
        mov  rsi, rdi
slash:  lodsb
        cmp  al, '/'
        je   exec                       # a path is not looked for
        test al, al
        jnz  slash
        mov  r8, rbx
path:   mov  rsi, [r8]
        add  r8, 8
        test rsi, rsi
        jz   lost
        cmp  dword ptr [rsi], 0x48544150 # "PATH"
        jne  path
        cmp  byte ptr [rsi+4], '='
        jne  path
        add  rsi, 5
        sub  rsp, 8192
folder: mov  rdi, rsp
        lea  rdx, [rsp+4096]
        cmp  byte ptr [rsi], 0
        je   lost
copy:   lodsb
        cmp  al, ':'
        je   name
        test al, al
        jz   last
        cmp  rdi, rdx
        jae  lost
        stosb
        jmp  copy
last:   dec  rsi                        # the end is found again
name:   mov  al, '/'
        stosb
        mov  r8, [r13]
        xor  ecx, ecx
letter: cmp  ecx, 4000
        jae  lost
        mov  al, [r8+rcx]
        inc  ecx
        stosb
        test al, al
        jnz  letter
        mov  r12, rsi
        mov  eax, 59                    # execve: comes back only if there is none
        mov  rdi, rsp
        mov  rsi, r13
        mov  rdx, rbx
        syscall
        mov  rsi, r12
        jmp  folder
exec:   mov  eax, 59
        mov  rsi, r13
        mov  rdx, rbx
        syscall
lost:   lea  r9, [rip+nobody]
        mov  r10d, offset nobody_end-nobody
fail:   mov  eax, 1                     # write
        mov  edi, 2
        mov  rsi, r9
        mov  edx, r10d
        syscall
        mov  eax, 60                    # exit
        mov  edi, 127
        syscall
file:   .asciz "/run/secrets/.environment"
unread: .ascii "launcher: /run/secrets/.environment cannot be read\n"
unread_end:
nobody: .ascii "launcher: the program cannot be executed: is it there, and may this user?\n"
nobody_end:
