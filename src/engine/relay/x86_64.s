# Reads a port and an address (6 bytes) from standard input, connects, says how that went (one byte: 0 or the error
# number), then passes bytes both ways. Assembled into relay.rs; a test there compares.
.intel_syntax noprefix
.text
        sub  rsp, 4096
        mov  dword ptr [rsp], 2         # AF_INET; port and address follow
        lea  rsi, [rsp+2]
        mov  edx, 6
first:  xor  eax, eax                   # read
        xor  edi, edi
        syscall
        test rax, rax
        jle  out
        add  rsi, rax
        sub  edx, eax
        jnz  first
        mov  eax, 41                    # socket
        mov  edi, 2
        mov  esi, 1
        syscall
        mov  ebx, eax
        mov  eax, 42                    # connect
        mov  edi, ebx
        mov  rsi, rsp
        mov  edx, 16
        mov  qword ptr [rsp+8], 0
        syscall
        neg  eax
        mov  byte ptr [rsp+64], al      # 0, or why not
        mov  ebp, eax
        mov  eax, 1                     # write
        mov  edi, 1
        lea  rsi, [rsp+64]
        mov  edx, 1
        syscall
        test ebp, ebp
        jnz  out
        mov  eax, 57                    # fork
        syscall
        test eax, eax
        jz   child
        xor  r12d, r12d                 # from standard input
        mov  r13d, ebx                  # to the socket
        call copy
        mov  eax, 48                    # shutdown
        mov  edi, ebx
        mov  esi, 1
        syscall
        mov  eax, 61                    # wait4
        mov  edi, -1
        xor  esi, esi
        xor  edx, edx
        xor  r10d, r10d
        syscall
        jmp  out
child:  mov  r12d, ebx
        mov  r13d, 1
        call copy
        mov  eax, 110                   # getppid
        syscall
        mov  edi, eax
        mov  esi, 9
        mov  eax, 62                    # kill
        syscall
out:    mov  eax, 60                    # exit
        xor  edi, edi
        syscall
copy:   xor  eax, eax                   # read
        mov  edi, r12d
        lea  rsi, [rsp+128]
        mov  edx, 3072
        syscall
        test rax, rax
        jle  done
        mov  rdx, rax
rest:   mov  eax, 1                     # write
        mov  edi, r13d
        syscall
        test rax, rax
        jle  done
        add  rsi, rax
        sub  rdx, rax
        jnz  rest
        jmp  copy
done:   ret
