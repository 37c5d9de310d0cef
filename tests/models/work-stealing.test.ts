import { expectContract } from '../contract/suite.js'

expectContract('work-stealing')
