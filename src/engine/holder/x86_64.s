# With arguments, in pairs: renames the first of each to the second; exits with 0 or the error number of the first that
# fails. Without: reads standard input until there is none. Assembled into holder.rs; a test there compares.
.intel_syntax noprefix
.text
        mov  rbx, [rsp]                 # argc
        lea  rbp, [rsp+16]              # &argv[1]
        dec  rbx
        jle  wait
pair:   mov  eax, 82                    # rename
        mov  rdi, [rbp]
        mov  rsi, [rbp+8]               # null where the last has no partner: EFAULT
        syscall
        neg  eax
        mov  edi, eax
        jnz  exit
        add  rbp, 16
        sub  rbx, 2
        jg   pair
        jmp  exit
wait:   sub  rsp, 4096
more:   xor  eax, eax                   # read
        xor  edi, edi
        mov  rsi, rsp
        mov  edx, 4096
        syscall
        test rax, rax
        jg   more
        xor  edi, edi
exit:   mov  eax, 60                    # exit
        syscall
